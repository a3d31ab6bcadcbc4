//! Statements: every move of money as two lines, one on each account, with the balance after it.
//!
//! Owns the balances between the lines. Never moves money: it follows the moves of the engine.

use std::collections::{BTreeMap, BTreeSet};

use merit_engine::{Engine, Event, Why};
use merit_proto::v1;
use merit_terms::{AccountId, LeaseId, Time};
use prost::Message;
use redb::{Error, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::log::{Keep, Log, Span};
use super::rows::{Rows, read_row};
use crate::sequencer::Happened;

/// Retention of lines: a year with a month to settle it, and somewhat more than a gigabyte.
const KEEP: Keep = Keep { days: 400, rows: 10_000_000 };

pub(super) const LINES: Log = Log::new("lines", "lines_lengths");
/// The balance of each account in picodollars.
pub(super) const BALANCES: TableDefinition<u32, i128> = TableDefinition::new("balances");

pub(super) struct Statements {
    lines: Log,
    balances: BTreeMap<u32, i128>,
    touched: BTreeSet<u32>,
}

/// The side of an account in a move.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Paid,
    Received,
}

/// One archived line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
    pub(crate) row: v1::LineRow,
}

impl Default for Statements {
    fn default() -> Statements {
        Statements { lines: LINES, balances: BTreeMap::new(), touched: BTreeSet::new() }
    }
}

impl Line {
    /// Returns the amount in picodollars, below 0 where the account paid.
    pub(crate) fn amount(&self) -> i128 {
        let amount = i128::from(self.row.amount);
        if self.row.paid { -amount } else { amount }
    }

    /// Returns the balance after this line in picodollars.
    pub(crate) fn balance(&self) -> i128 {
        ((u128::from(self.row.balance_high) << 64) | u128::from(self.row.balance_low)) as i128
    }
}

impl Statements {
    /// Encodes one side of a move: `account` paid `amount` to the other account, or received it.
    fn line(&mut self, account: AccountId, side: Side, other: AccountId, amount: u64, why: &Why) -> Vec<u8> {
        let balance = self.balances.entry(account.number()).or_default();
        match side {
            Side::Paid => *balance -= i128::from(amount),
            Side::Received => *balance += i128::from(amount),
        }
        self.touched.insert(account.number());
        let mut row = v1::LineRow {
            counter_account: other.number(),
            paid: side == Side::Paid,
            amount,
            balance_high: (*balance >> 64) as u64,
            balance_low: *balance as u64,
            ..v1::LineRow::default()
        };
        explain(&mut row, why);
        row.encode_to_vec()
    }
}

fn explain(row: &mut v1::LineRow, why: &Why) {
    use v1::EntryKind as Kind;
    let about = |id: &LeaseId| Some((*id).into());
    let kind = match why {
        Why::Deposit => Kind::Deposit,
        Why::Payout => Kind::Payout,
        Why::Correction { .. } => Kind::Correction,
        Why::Refund { .. } => Kind::Refund,
        Why::Cost { .. } => Kind::Cost,
        Why::Fee { .. } => Kind::Fee,
        Why::Loss { .. } => Kind::Loss,
    };
    row.why = kind.into();
    match why {
        Why::Deposit | Why::Payout => {}
        Why::Correction { about: invocation, reason } | Why::Refund { about: invocation, reason } => {
            row.invocation = invocation.as_ref().and_then(about);
            row.reason.clone_from(reason);
        }
        Why::Cost { lease, invocation } | Why::Fee { lease, invocation } | Why::Loss { lease, invocation } => {
            (row.lease, row.invocation) = (about(lease), about(invocation));
        }
    }
}

impl Rows for Statements {
    fn name(&self) -> &'static str {
        "statements"
    }

    fn version(&self) -> u32 {
        1
    }

    fn begin(&mut self, engine: &Engine) {
        for (id, account) in engine.accounts() {
            self.balances.insert(id.number(), account.balance.picodollars());
            self.touched.insert(id.number());
        }
    }

    fn load(&mut self, transaction: &ReadTransaction) -> Result<(), Error> {
        for balance in transaction.open_table(BALANCES)?.iter()? {
            let (account, balance) = balance?;
            self.balances.insert(account.value(), balance.value());
        }
        Ok(())
    }

    fn apply(&mut self, one: &Happened) {
        let Happened { sequence, at, events, .. } = one;
        // Both lines of a move may be on one account, which buys from itself.
        for (position, event) in (0..).step_by(2).zip(events) {
            if let Event::Moved { from, to, amount, why } = event {
                let amount = amount.picodollars();
                let paid = self.line(*from, Side::Paid, *to, amount, why);
                self.lines.push(from.number(), *sequence, position, *at, paid);
                let received = self.line(*to, Side::Received, *from, amount, why);
                self.lines.push(to.number(), *sequence, position + 1, *at, received);
            }
        }
    }

    fn pending(&self) -> usize {
        self.lines.pending()
    }

    fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        let mut balances = transaction.open_table(BALANCES)?;
        for account in std::mem::take(&mut self.touched) {
            balances.insert(account, self.balances.get(&account).copied().unwrap_or_default())?;
        }
        self.lines.write(transaction)
    }

    fn retain(&self, transaction: &WriteTransaction, now: Time) -> Result<(), Error> {
        self.lines.retain(transaction, now, KEEP)
    }

    fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.balances.clear();
        self.touched.clear();
        transaction.delete_table(BALANCES)?;
        self.lines.clear(transaction)
    }
}

/// Reads the latest lines of an account within `span`, newest first.
pub(super) fn lines(
    transaction: &ReadTransaction,
    account: AccountId,
    span: Span,
    limit: usize,
) -> Result<Vec<Line>, Error> {
    let page = LINES.page(transaction, account.number(), span, limit)?;
    page.into_iter()
        .map(|entry| Ok(Line { sequence: entry.sequence, at: entry.at, row: read_row(&entry.row)? }))
        .collect()
}
