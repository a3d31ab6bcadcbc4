//! Budgets: the most that calls may cost in a day or a month.

use serde::{Deserialize, Serialize};

use crate::{Money, Period};

/// The most that the calls of an account or a function may cost in each period, in UTC. A hard limit: a call's worst
/// case is held against the period of its match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub period: Period,
    pub amount: Money,
}
