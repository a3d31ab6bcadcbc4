//! Statements of accounts, from the archive.

use merit_proto::v1;
use merit_terms::{Balance, LeaseId, Time};

use super::accounts::balance;
use super::clients::{Exchange, answer};
use crate::error::ApiError;

/// The part of the past that a reader asks for; none sets no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) from: Option<Time>,
    pub(crate) to: Option<Time>,
    pub(crate) limit: Option<u32>,
    /// Only rows of a lower sequence.
    pub(crate) before: Option<u64>,
}

/// One side of an entry.
#[derive(Debug)]
pub(crate) struct StatementLine {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
    pub(crate) counter_account: String,
    pub(crate) amount: Balance,
    pub(crate) balance: Balance,
    pub(crate) why: String,
    pub(crate) lease: Option<LeaseId>,
    pub(crate) invocation: Option<LeaseId>,
    /// The operator's reason; may be empty.
    pub(crate) reason: String,
}

/// Returns microseconds since 1970; 0 for no bound.
pub(super) fn micros(time: Option<Time>) -> u64 {
    time.map_or(0, Time::micros)
}

impl Exchange {
    pub(crate) async fn statement(&self, account: &str, past: Past) -> Result<Vec<StatementLine>, ApiError> {
        let request = v1::ListStatementRequest {
            account: account.to_owned(),
            from: micros(past.from),
            to: micros(past.to),
            limit: past.limit.unwrap_or(0),
            before: past.before.unwrap_or(0),
        };
        let listed = answer(self.archive.clone().list_statement(request)).await?;
        Ok(listed.lines.into_iter().map(Into::into).collect())
    }
}

impl From<v1::StatementLine> for StatementLine {
    fn from(line: v1::StatementLine) -> StatementLine {
        StatementLine {
            sequence: line.sequence,
            at: Time::from_micros(line.at),
            counter_account: line.counter_account,
            amount: balance(&line.amount),
            balance: balance(&line.balance),
            why: line.why,
            lease: line.lease.map(Into::into),
            invocation: line.invocation.map(Into::into),
            reason: line.reason,
        }
    }
}
