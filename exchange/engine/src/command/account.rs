//! The operator's limits of an account, and its corrections.

use merit_terms::{AccountId, Budget, LeaseId, Money};
use serde::{Deserialize, Serialize};

/// An entry by which the operator puts something right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    pub kind: CorrectionKind,
    pub from: AccountId,
    pub to: AccountId,
    pub amount: Money,
    /// The invocation that it is about.
    pub about: Option<LeaseId>,
    /// The reason, for people; at most 256 bytes.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorrectionKind {
    Correction,
    /// Gives back what a buyer paid for an invocation.
    Refund,
}

/// The operator's limits of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// Credit: how far below zero the balance may go.
    pub credit_limit: Money,
    /// Rate limit in calls a second. Brokers enforce it; the engine only keeps it.
    pub rate_per_second: Option<u32>,
    /// Maximum of all its holds together.
    pub exposure: Option<Money>,
    /// Maximum of its leases that run at once.
    pub max_concurrency: Option<u32>,
    /// Budgets, at most one a period.
    pub budgets: Vec<Budget>,
}
