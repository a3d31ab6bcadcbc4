//! Quoting strategies: from the rung of a whole pool to a ladder. Pure functions; a ladder needs no requoting while the
//! pool fills, because the exchange sells its cheapest rung with room. Never reads the market.

use merit_terms::{Price, Quota, Rung, Tariff};

/// The pricing of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The whole pool at one tariff.
    Fixed { tariff: Tariff },
    /// Consecutive slices of the pool, whose rate per GB-s rises linearly from the tariff's own to `ceiling` as the
    /// pool fills. Fewer than `rungs` slices if one could not hold the largest invocation.
    Utilisation { tariff: Tariff, ceiling: Price, rungs: u32 },
}

impl Strategy {
    /// Default number of rungs: enough for a price that follows the load, few enough for a book that people read.
    pub const DEFAULT_RUNGS: u32 = 8;
    /// Maximum number of rungs that the exchange takes in one ladder.
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

    /// Returns the tariff of the cheapest paid rung.
    pub(crate) fn tariff(&self) -> Tariff {
        let (Strategy::Fixed { tariff } | Strategy::Utilisation { tariff, .. }) = *self;
        tariff
    }

    /// Makes the rung of the `whole` pool at no price under `quota`, billed in the steps of the paid rungs. Its number
    /// is 0, so that it leaves the numbers of the paid rungs as they are.
    pub(crate) fn free_rung(&self, whole: &Rung, quota: &Quota) -> Rung {
        let (per_request, per_gb_second) = (Price::ZERO, Price::ZERO);
        let (per_cpu_ms, per_gb_egress) = (Price::ZERO, Price::ZERO);
        let tariff = Tariff { per_request, per_gb_second, per_cpu_ms, per_gb_egress, ..self.tariff() };
        Rung { id: 0, tariff, quota: Some(quota.name.clone()), ..whole.clone() }
    }

    /// Makes the paid rungs of the `whole` pool, cheapest first, numbered from 1. Their capacities sum to the pool.
    pub(crate) fn ladder(&self, whole: &Rung) -> Vec<Rung> {
        match *self {
            Strategy::Fixed { tariff } => vec![Rung { id: 1, tariff, ..whole.clone() }],
            Strategy::Utilisation { tariff, ceiling, rungs } => utilisation(whole, tariff, ceiling, rungs),
        }
    }
}

fn utilisation(whole: &Rung, tariff: Tariff, ceiling: Price, rungs: u32) -> Vec<Rung> {
    let pool_mb = whole.capacity_mb;
    let holding = pool_mb / u64::from(whole.memory_max_mb).max(1);
    let count = u64::from(rungs).min(holding).max(1);
    let slice = |i: u64| pool_mb * (i + 1) / count - pool_mb * i / count;
    let at = |i: u64| Tariff { per_gb_second: between(tariff.per_gb_second, ceiling, i, count - 1), ..tariff };
    // At most 64 rungs, so the number fits.
    let rung = |i: u64| Rung { id: i as u32 + 1, capacity_mb: slice(i), tariff: at(i), ..whole.clone() };
    (0..count).map(rung).collect()
}

/// Returns the price after `step` of `steps` equal steps from `floor` to `ceiling`, rounded down; the floor without
/// steps.
fn between(floor: Price, ceiling: Price, step: u64, steps: u64) -> Price {
    let rise = u128::from(ceiling.picodollars().saturating_sub(floor.picodollars()));
    let risen = rise * u128::from(step) / u128::from(steps.max(1));
    Price::from_picodollars(floor.picodollars() + risen as u64) // at most the ceiling
}
