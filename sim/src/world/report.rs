//! What a run of the world shows: who was paid what, what was refused, and what one provider alone would have charged.
//!
//! Everything in [`Report`] follows from the seed; what depends on the machine is in [`Timing`].

use std::collections::BTreeMap;

use merit_terms::{Balance, Price};
use serde::Serialize;

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub seed: u64,
    pub minutes: u32,
    pub functions: usize,
    pub accounts: usize,
    pub sellers: Vec<Sold>,
    pub total: Total,
    /// The same executed calls at one platform's list price and speed, as if it had room for all, without its free
    /// tier.
    pub alone: Vec<Alone>,
    pub commands: u64,
    /// The sum of all balances: zero.
    pub balance_sum: Balance,
    /// Leases that nobody settled: none.
    pub open_leases: usize,
    pub digest: String,
}

/// What one seller did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sold {
    pub provider: String,
    pub pool_mb: u64,
    /// A call's wall time here, in thousandths of what it takes at speed 1: an assumption.
    pub wall_permille: u64,
    /// The row of the price list; none: the price is an assumption.
    pub price_list: Option<String>,
    pub confidence: Option<String>,
    pub invocations: u64,
    /// Billed: memory x billed time.
    pub gb_seconds: f64,
    pub paid: Balance,
    /// USD per billed GB-s, requests included.
    pub mean_price: Price,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Total {
    pub calls: u64,
    pub invocations: u64,
    /// Calls that no offer served, by the code of the refusal.
    pub refused: BTreeMap<&'static str, u64>,
    pub gb_seconds: f64,
    pub paid: Balance,
    pub mean_price: Price,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alone {
    pub provider: String,
    pub cost: Balance,
    /// What the market saved against it; below 0: it was dearer.
    pub saving_percent: f64,
}

/// How fast it went; not part of what the seed decides.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    pub wall_seconds: f64,
    pub commands_per_second: f64,
}

/// Energy billed and money paid, added up.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) invocations: u64,
    /// MB x ms, billed.
    pub(crate) mb_ms: u128,
    pub(crate) picodollars: u128,
}

const MB_MS_PER_GB_SECOND: u128 = 1024 * 1000;

impl Sum {
    pub(crate) fn gb_seconds(&self) -> f64 {
        self.mb_ms as f64 / MB_MS_PER_GB_SECOND as f64
    }

    pub(crate) fn paid(&self) -> Balance {
        balance(self.picodollars)
    }

    /// Rounded down to a picodollar; 0 where nothing was sold.
    pub(crate) fn mean_price(&self) -> Price {
        let price = (self.picodollars * MB_MS_PER_GB_SECOND).checked_div(self.mb_ms).unwrap_or(0);
        Price::from_picodollars(u64::try_from(price).unwrap_or(u64::MAX))
    }

    pub(crate) fn and(self, other: Sum) -> Sum {
        Sum {
            invocations: self.invocations + other.invocations,
            mb_ms: self.mb_ms + other.mb_ms,
            picodollars: self.picodollars + other.picodollars,
        }
    }
}

pub(crate) fn balance(picodollars: u128) -> Balance {
    Balance::from_picodollars(i128::try_from(picodollars).unwrap_or(i128::MAX))
}

/// What `paid` saves against `cost`, in percent to two places.
pub(crate) fn saving_percent(paid: u128, cost: u128) -> f64 {
    if cost == 0 {
        return 0.0;
    }
    let saved = (cost as f64 - paid as f64) / cost as f64;
    (saved * 10_000.0).round() / 100.0
}
