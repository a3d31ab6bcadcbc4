//! Ladders of a pool, and settings that cannot sell.

use std::collections::BTreeMap;
use std::time::Duration;

use merit_agent::{ProviderSettings, Strategy};
use merit_terms::{Adapter, Period, PoolSize, Price, Quota, Rung, Tariff};

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
        targets: None,
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
fn a_rising_ladder_climbs_to_the_ceiling_in_equal_steps() {
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
fn capacities_sum_to_the_pool_and_differ_by_one() {
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
fn the_free_rung_comes_first_and_changes_no_other() {
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
fn every_ladder_of_checked_settings_passes_the_exchange_s_check() {
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
