//! Quoting strategies: from settings to a ladder of rungs. Pure functions; a ladder needs no requoting while the pool
//! fills, because the exchange sells its cheapest rung with room.

use merit_proto::v1::Adapter;
use merit_terms::{Price, Quota, Rung, Tariff};

use crate::settings::ProviderSettings;

/// How a pool is priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The whole pool at one tariff.
    Fixed { tariff: Tariff },
    /// Consecutive slices of the pool, whose rate per GB-s rises linearly from the tariff's own to `ceiling` as the
    /// pool fills. Fewer than `rungs` slices where one could not hold the largest invocation that is sold.
    Utilisation { tariff: Tariff, ceiling: Price, rungs: u32 },
}

impl Strategy {
    /// Enough steps for a price that follows the load, few enough for a book that people read.
    pub const DEFAULT_RUNGS: u32 = 8;
    /// What the exchange takes in one ladder.
    pub const MAX_RUNGS: u32 = 64;

    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Strategy::Fixed { .. } => Ok(()),
            Strategy::Utilisation { rungs, .. } if !(1..=Strategy::MAX_RUNGS).contains(rungs) => {
                Err(format!("{rungs} rungs; 1 to {}", Strategy::MAX_RUNGS))
            }
            Strategy::Utilisation { tariff, ceiling, .. } if *ceiling < tariff.per_gb_second => {
                Err(format!("the ceiling of {ceiling} USD per GB-s is below the floor of {}", tariff.per_gb_second))
            }
            Strategy::Utilisation { .. } => Ok(()),
        }
    }

    /// The whole pool at no price under `quota`, billed in the steps of the paid rungs. Its number is 0, so that those stay
    /// the offers that they are without it.
    pub(crate) fn free_rung(&self, of: &ProviderSettings, quota: &Quota) -> Rung {
        let (Strategy::Fixed { tariff } | Strategy::Utilisation { tariff, .. }) = *self;
        let (per_request, per_gb_second) = (Price::ZERO, Price::ZERO);
        let (per_cpu_ms, per_gb_egress) = (Price::ZERO, Price::ZERO);
        let tariff = Tariff { per_request, per_gb_second, per_cpu_ms, per_gb_egress, ..tariff };
        Rung { quota: Some(quota.name.clone()), ..rung(of, 0, of.pool.memory_mb, tariff) }
    }

    /// The rungs that are paid, cheapest first, numbered from 1; their capacities sum to the pool.
    pub(crate) fn ladder(&self, of: &ProviderSettings) -> Vec<Rung> {
        match *self {
            Strategy::Fixed { tariff } => vec![rung(of, 1, of.pool.memory_mb, tariff)],
            Strategy::Utilisation { tariff, ceiling, rungs } => utilisation(of, tariff, ceiling, rungs),
        }
    }
}

fn utilisation(of: &ProviderSettings, tariff: Tariff, ceiling: Price, rungs: u32) -> Vec<Rung> {
    let pool_mb = of.pool.memory_mb;
    let holding = pool_mb / u64::from(*of.memory_mb.end()).max(1);
    let count = u64::from(rungs).min(holding).max(1);
    let slice = |i: u64| pool_mb * (i + 1) / count - pool_mb * i / count;
    let at = |i: u64| Tariff { per_gb_second: between(tariff.per_gb_second, ceiling, i, count - 1), ..tariff };
    // At most 64 rungs, so that the number fits.
    (0..count).map(|i| rung(of, i as u32 + 1, slice(i), at(i))).collect()
}

/// The price after `step` of `steps` equal steps from `floor` to `ceiling`, rounded down; the floor without steps.
fn between(floor: Price, ceiling: Price, step: u64, steps: u64) -> Price {
    let rise = u128::from(ceiling.picodollars().saturating_sub(floor.picodollars()));
    let risen = rise * u128::from(step) / u128::from(steps.max(1));
    Price::from_picodollars(floor.picodollars() + risen as u64) // at most the ceiling
}

fn rung(of: &ProviderSettings, id: u32, capacity_mb: u64, tariff: Tariff) -> Rung {
    Rung {
        id,
        pool: 0,
        capacity_mb,
        tariff,
        vcpus_milli: of.vcpus_milli,
        memory_min_mb: *of.memory_mb.start(),
        memory_max_mb: *of.memory_mb.end(),
        longest_ms: of.longest_ms,
        // A function server may go on beyond what a broker waits for.
        enforces_timeout: of.adapter == Adapter::Agent,
        labels: of.labels.clone(),
        audience: of.audience.clone(),
        quota: None,
        expires: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use merit_terms::{Period, PoolSize};

    use super::*;

    const TARIFF: Tariff = Tariff {
        per_request: Price::from_picodollars(200_000),
        per_gb_second: Price::from_picodollars(10_000_000),
        per_cpu_ms: Price::ZERO,
        per_gb_egress: Price::ZERO,
        increment_ms: 1,
        minimum_ms: 1,
        memory_step_mb: 1,
        bills_cold_start: false,
    };

    fn rising(rungs: u32) -> Strategy {
        Strategy::Utilisation { tariff: TARIFF, ceiling: Price::from_picodollars(24_000_000), rungs }
    }

    fn settings(strategy: Strategy, pool_mb: u64, largest_mb: u32) -> ProviderSettings {
        ProviderSettings {
            name: "edge-1".parse().unwrap(),
            markets: vec!["local/wasm".parse().unwrap()],
            pool: PoolSize { memory_mb: pool_mb, slots: 4 },
            cpu_share: 0.5,
            strategy,
            free: None,
            audience: Vec::new(),
            labels: BTreeMap::new(),
            offers_expire_after: None,
            vcpus_milli: 500,
            memory_mb: 64..=largest_mb,
            longest_ms: 60_000,
            protection: None,
            endpoint: None,
            adapter: Adapter::Agent,
        }
    }

    fn rates(ladder: &[Rung]) -> Vec<u64> {
        ladder.iter().map(|rung| rung.tariff.per_gb_second.picodollars() / 1_000_000).collect()
    }

    #[test]
    fn a_fixed_ladder_is_the_pool_at_its_tariff() {
        let ladder = settings(Strategy::Fixed { tariff: TARIFF }, 4096, 512).ladder();
        assert_eq!(ladder.len(), 1);
        assert_eq!((ladder[0].capacity_mb, ladder[0].tariff), (4096, TARIFF));
        assert_eq!((ladder[0].memory_min_mb, ladder[0].memory_max_mb, ladder[0].longest_ms), (64, 512, 60_000));
        assert!(ladder[0].enforces_timeout);
    }

    #[test]
    fn a_rising_ladder_goes_from_the_floor_to_the_ceiling_in_equal_steps() {
        let ladder = settings(rising(8), 4096, 512).ladder();
        assert_eq!(rates(&ladder), [10, 12, 14, 16, 18, 20, 22, 24]);
        assert!(ladder.iter().all(|rung| rung.capacity_mb == 512));
        assert_eq!(ladder.iter().map(|rung| rung.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn every_slice_holds_the_largest_invocation() {
        assert_eq!(rates(&settings(rising(8), 4096, 2048).ladder()), [10, 24]);
        assert_eq!(rates(&settings(rising(8), 4096, 4096).ladder()), [10]);
        assert_eq!(rates(&settings(rising(1), 4096, 64).ladder()), [10]);
    }

    #[test]
    fn the_capacities_sum_to_the_pool_and_differ_by_one_at_most() {
        for (pool_mb, rungs) in [(4097, 8), (1000, 7), (64, 64), (65_535, 64), (100, 3)] {
            let slices: Vec<u64> =
                settings(rising(rungs), pool_mb, 64).ladder().iter().map(|rung| rung.capacity_mb).collect();
            assert_eq!(slices.iter().sum::<u64>(), pool_mb);
            let (least, most) = (slices.iter().min().unwrap(), slices.iter().max().unwrap());
            assert!(most - least <= 1 && *least >= 64, "{slices:?}");
        }
    }

    fn free(requests: Option<u64>, energy_mb_ms: Option<u64>) -> Option<Quota> {
        Some(Quota { name: "free".parse().unwrap(), requests, energy_mb_ms, renews: Some(Period::Month) })
    }

    #[test]
    fn what_is_free_comes_first_at_no_price_and_leaves_the_rest_as_it_is() {
        for strategy in [Strategy::Fixed { tariff: TARIFF }, rising(8)] {
            let paid = settings(strategy, 4096, 512);
            let ladder = ProviderSettings { free: free(Some(1000), None), ..paid.clone() }.ladder();
            assert_eq!(ladder[0].quota.as_ref().map(merit_terms::Name::as_str), Some("free"));
            assert_eq!((ladder[0].id, ladder[0].capacity_mb), (0, 4096));
            assert_eq!(ladder[0].tariff.reference_price(), Price::ZERO);
            assert_eq!(ladder[0].tariff.increment_ms, TARIFF.increment_ms);
            assert_eq!(ladder[1..], paid.ladder());
        }
    }

    #[test]
    fn every_rung_is_for_the_audience_and_makes_the_claims() {
        let labels = BTreeMap::from([("claimed.energy".to_owned(), "solar".to_owned())]);
        let audience = vec!["team-a".parse().unwrap()];
        let free = free(Some(1), None);
        let ladder = ProviderSettings { free, audience, labels, ..settings(rising(8), 4096, 512) }.ladder();
        assert_eq!(ladder.len(), 9);
        assert!(ladder.iter().all(|rung| rung.audience.len() == 1 && rung.labels["claimed.energy"] == "solar"));
    }

    #[test]
    fn every_ladder_of_checked_settings_is_one_that_the_exchange_takes() {
        for strategy in [Strategy::Fixed { tariff: TARIFF }, rising(1), rising(8), rising(64)] {
            let settings = settings(strategy, 65_536, 1024);
            assert_eq!(settings.check(), Ok(()));
            assert!(settings.ladder().iter().all(|rung| rung.check().is_ok()));
        }
    }

    #[test]
    fn settings_that_cannot_sell_are_refused_by_field() {
        let good = || settings(rising(8), 4096, 512);
        let refused = |settings: ProviderSettings| settings.check().unwrap_err().field;
        assert_eq!(refused(ProviderSettings { markets: Vec::new(), ..good() }), "markets");
        assert_eq!(refused(ProviderSettings { pool: PoolSize { memory_mb: 4096, slots: 0 }, ..good() }), "pool");
        assert_eq!(refused(ProviderSettings { memory_mb: 64..=8192, ..good() }), "memory_mb");
        assert_eq!(refused(ProviderSettings { memory_mb: 0..=512, ..good() }), "offers");
        assert_eq!(refused(ProviderSettings { longest_ms: 0, ..good() }), "offers");
        assert_eq!(refused(ProviderSettings { vcpus_milli: 0, ..good() }), "offers");
        assert_eq!(refused(settings(rising(0), 4096, 512)), "strategy");
        assert_eq!(refused(settings(rising(65), 4096, 512)), "strategy");
        let falling = Strategy::Utilisation { tariff: TARIFF, ceiling: Price::ZERO, rungs: 8 };
        assert_eq!(refused(settings(falling, 4096, 512)), "strategy");
        for free in [free(None, None), free(Some(0), None), free(Some(1), Some(0))] {
            assert_eq!(refused(ProviderSettings { free, ..good() }), "free");
        }
        let free = free(Some(1), None);
        assert_eq!(refused(ProviderSettings { free, ..settings(rising(64), 65_536, 64) }), "offers");
        let labels = BTreeMap::from([("region".to_owned(), "eu".to_owned())]);
        assert_eq!(refused(ProviderSettings { labels, ..good() }), "offers");
        for seconds in [0, 86_401] {
            let offers_expire_after = Some(Duration::from_secs(seconds));
            assert_eq!(refused(ProviderSettings { offers_expire_after, ..good() }), "offers_expire_after");
        }
    }
}
