//! Functions' logs: the end of what each attempt wrote to its standard error, an account at a time.
//!
//! Owns their retention, and the most that is taken in a minute. They come beside the events and not from the journal.

use std::cell::Cell;

use merit_engine::Event;
use merit_proto::v1;
use merit_terms::{AccountId, FunctionId, Time};
use prost::Message;
use redb::{Error, ReadTransaction, WriteTransaction};

use super::log::{Keep, Log, Page, Span};
use super::rows::{Rows, read_row};
use crate::sequencer::Happened;

/// Retention of logs: a week, and at most 400 MB.
const KEEP: Keep = Keep { days: 7, rows: 100_000 };
/// Logs kept between two passes of the retention at most, which removes more at once; further ones are dropped.
const BETWEEN_MAX: u32 = 50_000;
/// Number of other rows that one log weighs.
const WEIGHT: usize = 10;
/// Logs of an account that a query for one function looks at.
const LOOKED_AT_MAX: usize = 20_000;

/// The position of a row is the number of its function: a command has the log of one call at most.
pub(super) const LOGS: Log = Log::new("logs", "logs_lengths");

pub(super) struct Logs {
    rows: Log,
    /// Logs taken since the last pass of the retention.
    since: Cell<u32>,
}

/// The end of the log of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FunctionLog {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
    pub(crate) row: v1::LogRow,
}

impl Default for Logs {
    fn default() -> Logs {
        Logs { rows: LOGS, since: Cell::new(0) }
    }
}

impl Rows for Logs {
    fn name(&self) -> &'static str {
        "logs"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&mut self, one: &Happened) {
        for event in &one.events {
            let Event::Settled { lease, outcome, .. } = event else { continue };
            let log = one.log_of(lease.id);
            if log.is_empty() || self.since.get() == BETWEEN_MAX {
                continue;
            }
            self.since.set(self.since.get() + 1);
            let row = v1::LogRow {
                invocation: Some(lease.invocation.into()),
                function: lease.function.number(),
                provider: lease.provider.number(),
                outcome: v1::Outcome::from(*outcome).into(),
                log: log.to_vec(),
            };
            let (account, function) = (lease.account.number(), lease.function.number());
            self.rows.push(account, one.sequence, function, one.at, row.encode_to_vec());
        }
    }

    fn pending(&self) -> usize {
        self.rows.pending() * WEIGHT
    }

    fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.rows.write(transaction)
    }

    fn retain(&self, transaction: &WriteTransaction, now: Time) -> Result<(), Error> {
        self.since.set(0);
        self.rows.retain(transaction, now, KEEP)
    }

    fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.rows.clear(transaction)
    }
}

/// Reads the latest logs of an account's functions, or of one of them, within `span`, newest first.
pub(super) fn logs(
    transaction: &ReadTransaction,
    account: AccountId,
    function: Option<FunctionId>,
    span: Span,
    limit: usize,
) -> Result<Page<FunctionLog>, Error> {
    LOGS.select(transaction, account.number(), (span, LOOKED_AT_MAX), limit, |row| {
        if function.is_some_and(|function| function.number() != row.position) {
            return Ok(None);
        }
        Ok(Some(FunctionLog { sequence: row.sequence, at: row.at, row: read_row(row.bytes)? }))
    })
}

/// Reads the log of an invocation's answered attempt; empty if it wrote none, or if it is no longer kept.
pub(super) fn of_invocation(transaction: &ReadTransaction, row: &v1::InvocationRow) -> Result<Vec<u8>, Error> {
    let mut settlements = row.attempts.iter().filter_map(|attempt| attempt.settlement.as_ref());
    let Some(sequence) = settlements.find(|settlement| settlement.log > 0).map(|settlement| settlement.log) else {
        return Ok(Vec::new());
    };
    let bytes = LOGS.get(transaction, (row.account, sequence, row.function))?;
    bytes.map_or(Ok(Vec::new()), |bytes| Ok(read_row::<v1::LogRow>(&bytes)?.log))
}
