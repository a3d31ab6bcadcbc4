//! The report of a world: payments, refusals, and the bills that one provider alone would have made.
//!
//! Everything in [`WorldReport`] follows from the seed; [`Timing`] depends on the machine. Never reads the engine.

use std::collections::BTreeMap;

use merit_terms::{Balance, Price};
use serde::Serialize;

/// The result of a world.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorldReport {
    pub seed: u64,
    pub minutes: u32,
    pub functions: usize,
    pub accounts: usize,
    pub sellers: Vec<Sold>,
    pub total: Total,
    /// Bills of the executed calls at one platform's list price and speed, as if it had room for all, without its free
    /// tier.
    pub alone: Vec<Alone>,
    pub commands: u64,
    /// Sum of all balances: always zero.
    pub balance_sum: Balance,
    /// Unsettled leases: always none.
    pub open_leases: usize,
    pub digest: String,
}

/// The sales of one seller.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sold {
    pub provider: String,
    pub pool_mb: u64,
    /// Wall time of a call here, in thousandths of that at speed 1: an assumption.
    pub wall_permille: u64,
    /// Row of the price list; `None` if the price is an assumption.
    pub price_list: Option<String>,
    pub confidence: Option<String>,
    pub invocations: u64,
    /// Billed energy: memory x billed time.
    pub gb_seconds: f64,
    pub paid: Balance,
    /// Mean price in USD per billed GB-s, requests included.
    pub mean_price: Price,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Total {
    pub calls: u64,
    pub invocations: u64,
    /// Calls that no offer served, by code of refusal.
    pub refused: BTreeMap<&'static str, u64>,
    pub gb_seconds: f64,
    pub paid: Balance,
    pub mean_price: Price,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alone {
    pub provider: String,
    pub cost: Balance,
    /// The market's saving against it; negative if the market was dearer.
    pub saving_percent: f64,
}

/// The speed of a run, which the seed does not decide.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    pub wall_seconds: f64,
    pub commands_per_second: f64,
}

/// The sum of billed energy and paid money.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) invocations: u64,
    /// Billed energy in MB x ms.
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

    /// Returns the mean price, rounded down to a picodollar; 0 without sales.
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

/// Returns the saving of `paid` against `cost`, in percent to two places.
pub(crate) fn saving_percent(paid: u128, cost: u128) -> f64 {
    if cost == 0 {
        return 0.0;
    }
    let saved = (cost as f64 - paid as f64) / cost as f64;
    (saved * 10_000.0).round() / 100.0
}
