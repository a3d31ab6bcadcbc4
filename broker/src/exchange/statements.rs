//! Statements of accounts, from the archive.

use merit_proto::v1;
use merit_terms::{Balance, LeaseId, Time};

use super::accounts::balance;
use super::clients::{Exchange, answer};
use super::past::{Past, micros};
use crate::error::ApiError;

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
