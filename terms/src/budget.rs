//! Budgets: the maximum cost of calls in a day or a month. Never counts what was spent.

use serde::{Deserialize, Serialize};

use crate::{Money, Period};

/// The maximum cost of an account's or a function's calls in each period, in UTC. A hard limit: a call's worst case is
/// held against the period of its match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub period: Period,
    pub amount: Money,
}
