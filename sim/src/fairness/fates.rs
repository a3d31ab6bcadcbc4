//! The fates of the calls of a trial, plain data. Never decides one.

use merit_terms::{LeaseId, ProviderId};

use crate::fairness::strategy::Work;

/// The fate of one call.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    pub(crate) at_us: u64,
    /// True if an attempt went to the seller under test.
    pub(crate) is_won: bool,
    pub(crate) is_answered: bool,
    pub(crate) waited_us: u64,
    /// Beginning and end of the attempt at the seller under test that gave no answer, or one that was dearer than at
    /// the dearest honest seller.
    pub(crate) lost_us: Option<(u64, u64)>,
    pub(crate) work: Work,
    pub(crate) tried: Vec<ProviderId>,
    pub(crate) invocation: Option<LeaseId>,
    /// The last attempt without an answer.
    pub(crate) broken: Option<LeaseId>,
}

/// The fates of a trial, and what was paid.
#[derive(Clone, Debug)]
pub(crate) struct Fates {
    /// Calls under the strategy.
    pub(crate) calls: Vec<Fate>,
    /// Calls from its end on, if the seller became honest.
    pub(crate) later: Vec<Fate>,
    /// Time from which on the seller was honest again.
    pub(crate) honest_from_us: u64,
    /// Paid for the calls under the strategy, in picodollars.
    pub(crate) paid: u128,
    pub(crate) earned: u128,
    pub(crate) digest: u128,
}
