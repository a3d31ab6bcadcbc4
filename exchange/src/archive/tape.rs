//! The tape: every public trade, in order of settlement, a market at a time.
//!
//! Owns the row of a trade and its retention. Never holds an open lease, and no trade that is not for everybody.

use merit_engine::{Event, Lease, Settlement};
use merit_proto::v1;
use merit_terms::{MarketId, Price, Time};
use prost::Message;
use redb::{Error, ReadTransaction, WriteTransaction};

use super::log::{Keep, Log, Span};
use super::rows::{Rows, read_row};
use crate::sequencer::Happened;

/// Retention of trades: a quarter of a year, and half a gigabyte.
const KEEP: Keep = Keep { days: 90, rows: 5_000_000 };

pub(super) const TRADES: Log = Log::new("trades", "trades_lengths");

pub(super) struct Tape(Log);

/// One archived trade.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trade {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
    pub(crate) row: v1::TradeRow,
}

impl Default for Tape {
    fn default() -> Tape {
        Tape(TRADES)
    }
}

impl Rows for Tape {
    fn name(&self) -> &'static str {
        "tape"
    }

    fn version(&self) -> u32 {
        2
    }

    fn apply(&mut self, one: &Happened) {
        for (position, event) in (0..).zip(&one.events) {
            if let Event::Settled { lease, settlement, last_price, .. } = event
                && !lease.private
            {
                let row = trade(lease, settlement, *last_price).encode_to_vec();
                self.0.push(lease.market.number(), one.sequence, position, one.at, row);
            }
        }
    }

    fn pending(&self) -> usize {
        self.0.pending()
    }

    fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.0.write(transaction)
    }

    fn retain(&self, transaction: &WriteTransaction, now: Time) -> Result<(), Error> {
        self.0.retain(transaction, now, KEEP)
    }

    fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.0.clear(transaction)
    }
}

fn trade(lease: &Lease, settlement: &Settlement, last_price: Option<Price>) -> v1::TradeRow {
    v1::TradeRow {
        lease: Some(lease.id.into()),
        provider: lease.provider.number(),
        price: lease.price.picodollars(),
        memory_mb: lease.memory_mb,
        billed_ms: settlement.billed_ms,
        last_price: last_price.map(Price::picodollars),
        account: lease.account.number(),
        invocation: Some(lease.invocation.into()),
        cost: settlement.cost.picodollars(),
    }
}

/// Reads the latest trades of a market within `span`, newest first.
pub(super) fn trades(
    transaction: &ReadTransaction,
    market: MarketId,
    span: Span,
    limit: usize,
) -> Result<Vec<Trade>, Error> {
    let page = TRADES.page(transaction, market.number(), span, limit)?;
    page.into_iter()
        .map(|entry| Ok(Trade { sequence: entry.sequence, at: entry.at, row: read_row(&entry.row)? }))
        .collect()
}
