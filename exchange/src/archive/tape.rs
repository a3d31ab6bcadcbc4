//! The tape: every public trade, in order of settlement, a market at a time; and the private trades of each account.
//!
//! Owns the row of a trade and its retention. Never holds an open lease.

use merit_engine::{Event, Lease, Settlement};
use merit_proto::v1;
use merit_terms::{AccountId, MarketId, Price, Time};
use prost::Message;
use redb::{Error, ReadTransaction, WriteTransaction};

use super::log::{Keep, Log, Span};
use super::rows::{Rows, read_row};
use crate::sequencer::Happened;

/// Retention of trades: a quarter of a year, and half a gigabyte.
const KEEP: Keep = Keep { days: 90, rows: 5_000_000 };

/// Private trades of an account that one query looks at, in all markets.
const LOOKED_AT_MAX: usize = 10_000;

/// Public trades by market.
pub(super) const TRADES: Log = Log::new("trades", "trades_lengths");
/// Private trades by account: that of the buyer, and that of the seller.
const PRIVATE: Log = Log::new("private_trades", "private_trades_lengths");

pub(super) struct Tape {
    public: Log,
    private: Log,
}

/// One archived trade.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trade {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
    pub(crate) row: v1::TradeRow,
    /// True if only its buyer and its seller see it.
    pub(crate) private: bool,
}

impl Default for Tape {
    fn default() -> Tape {
        Tape { public: TRADES, private: PRIVATE }
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
            let Event::Settled { lease, settlement, last_price, seller, .. } = event else { continue };
            let row = trade(lease, settlement, *last_price);
            if !lease.private {
                self.public.push(lease.market.number(), one.sequence, position, one.at, row.encode_to_vec());
                continue;
            }
            let row = v1::TradeRow { market: lease.market.number(), ..row }.encode_to_vec();
            let other_side = Some(*seller).filter(|seller| *seller != lease.account);
            for account in [lease.account].into_iter().chain(other_side) {
                self.private.push(account.number(), one.sequence, position, one.at, row.clone());
            }
        }
    }

    fn pending(&self) -> usize {
        self.public.pending() + self.private.pending()
    }

    fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.public.write(transaction)?;
        self.private.write(transaction)
    }

    fn retain(&self, transaction: &WriteTransaction, now: Time) -> Result<(), Error> {
        self.public.retain(transaction, now, KEEP)?;
        self.private.retain(transaction, now, KEEP)
    }

    fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.public.clear(transaction)?;
        self.private.clear(transaction)
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
        market: 0,
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
        .map(|entry| Ok(Trade { sequence: entry.sequence, at: entry.at, row: read_row(&entry.row)?, private: false }))
        .collect()
}

/// Reads the latest trades of a market within `span` as an account sees them, newest first: the public ones, and its
/// own private ones among its latest 10,000.
pub(super) fn trades_of(
    transaction: &ReadTransaction,
    (market, account): (MarketId, AccountId),
    span: Span,
    limit: usize,
) -> Result<Vec<Trade>, Error> {
    let private = PRIVATE.select(transaction, account.number(), (span, LOOKED_AT_MAX), limit, |row| {
        let trade = Trade { sequence: row.sequence, at: row.at, row: read_row(row.bytes)?, private: true };
        Ok(Some(trade).filter(|trade| trade.row.market == market.number()))
    })?;
    let mut all = trades(transaction, market, span, limit)?;
    all.extend(private.rows);
    all.sort_by_key(|trade| std::cmp::Reverse(trade.sequence));
    // Those of one sequence are never parted.
    if let Some(last) = limit.checked_sub(1).and_then(|last| all.get(last)).map(|trade| trade.sequence) {
        all.retain(|trade| trade.sequence >= last);
    }
    Ok(all)
}
