//! Candles: a market's spot price and volume over each second, minute, hour and day.
//!
//! The prices are the spot price after each trade, so that a free tier or one's own provider moves none; volume and
//! count are of all trades. Intervals begin at whole multiples of their length since 1970, UTC.

use std::collections::BTreeMap;

use merit_engine::Event;
use merit_proto::v1;
use merit_terms::{MarketId, Time};
use prost::Message;
use redb::{Error, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::log::Keep;
use super::store::{Rows, read_row};

/// Interval, market, when it begins.
type Key = (u8, u32, u64);

const CANDLES: TableDefinition<Key, &[u8]> = TableDefinition::new("candles");

/// How long a candle lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interval {
    Second,
    Minute,
    Hour,
    Day,
}

/// What was traded in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candle {
    /// Open, high, low, close in picodollars; none before the market's first spot price.
    pub(crate) prices: Option<[u64; 4]>,
    /// Memory x billed time of all trades.
    pub(crate) energy_mb_ms: u128,
    pub(crate) trades: u64,
}

#[derive(Default)]
pub(super) struct Candles {
    pending: BTreeMap<Key, Candle>,
}

impl Interval {
    pub(crate) const ALL: [Interval; 4] = [Interval::Second, Interval::Minute, Interval::Hour, Interval::Day];

    const fn micros(self) -> u64 {
        match self {
            Interval::Second => 1_000_000,
            Interval::Minute => 60_000_000,
            Interval::Hour => 3_600_000_000,
            Interval::Day => 86_400_000_000,
        }
    }

    /// When the interval that `at` falls in begins.
    const fn start(self, at: Time) -> u64 {
        at.micros() - at.micros() % self.micros()
    }

    /// For how long a chart of these is looked at; a market has at most some 300,000 of all of them, and days for ever.
    const fn days_kept(self) -> Option<u64> {
        match self {
            Interval::Second => Some(2),
            Interval::Minute => Some(60),
            Interval::Hour => Some(3 * 365),
            Interval::Day => None,
        }
    }
}

impl Candle {
    fn of(memory_mb: u32, billed_ms: u64, spot_price: Option<u64>) -> Candle {
        Candle {
            prices: spot_price.map(|price| [price; 4]),
            energy_mb_ms: u128::from(memory_mb) * u128::from(billed_ms),
            trades: 1,
        }
    }

    /// This candle and what came after it in the same interval.
    fn then(self, later: Candle) -> Candle {
        let prices = match (self.prices, later.prices) {
            (Some([open, high, low, _]), Some([_, later_high, later_low, close])) => {
                Some([open, high.max(later_high), low.min(later_low), close])
            }
            (earlier, later) => later.or(earlier),
        };
        Candle { prices, energy_mb_ms: self.energy_mb_ms + later.energy_mb_ms, trades: self.trades + later.trades }
    }
}

impl From<&Candle> for v1::CandleRow {
    fn from(candle: &Candle) -> v1::CandleRow {
        let price = |i: usize| candle.prices.map(|prices| prices[i]);
        v1::CandleRow {
            open: price(0),
            high: price(1),
            low: price(2),
            close: price(3),
            energy_high: (candle.energy_mb_ms >> 64) as u64,
            energy_low: candle.energy_mb_ms as u64,
            trades: candle.trades,
        }
    }
}

impl From<v1::CandleRow> for Candle {
    fn from(row: v1::CandleRow) -> Candle {
        let prices = match (row.open, row.high, row.low, row.close) {
            (Some(open), Some(high), Some(low), Some(close)) => Some([open, high, low, close]),
            _ => None,
        };
        let energy_mb_ms = (u128::from(row.energy_high) << 64) | u128::from(row.energy_low);
        Candle { prices, energy_mb_ms, trades: row.trades }
    }
}

impl Rows for Candles {
    fn name(&self) -> &'static str {
        "candles"
    }

    fn version(&self) -> u32 {
        1
    }

    fn apply(&mut self, _sequence: u64, at: Time, events: &[Event]) {
        for event in events {
            if let Event::Settled { lease, settlement, spot_price, .. } = event {
                let spot_price = spot_price.map(|price| price.picodollars());
                let candle = Candle::of(lease.memory_mb, settlement.billed_ms, spot_price);
                for interval in Interval::ALL {
                    let key = (interval as u8, lease.market.number(), interval.start(at));
                    let before = self.pending.entry(key).or_default();
                    *before = before.then(candle);
                }
            }
        }
    }

    fn pending(&self) -> usize {
        self.pending.len()
    }

    fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        let mut candles = transaction.open_table(CANDLES)?;
        for (key, later) in std::mem::take(&mut self.pending) {
            let before: Option<v1::CandleRow> = candles.get(key)?.map(|row| read_row(row.value())).transpose()?;
            let candle = before.map_or_else(Candle::default, Candle::from).then(later);
            candles.insert(key, v1::CandleRow::from(&candle).encode_to_vec().as_slice())?;
        }
        Ok(())
    }

    fn retain(&self, transaction: &WriteTransaction, now: Time) -> Result<(), Error> {
        let mut candles = transaction.open_table(CANDLES)?;
        for interval in Interval::ALL {
            let Some(days) = interval.days_kept() else { continue };
            let horizon = Keep { days, rows: u64::MAX }.horizon(now).micros();
            let mut next = Some(0);
            while let Some(from) = next {
                let first = candles.range((interval as u8, from, 0)..=(interval as u8, u32::MAX, u64::MAX))?.next();
                let Some(market) = first.transpose()?.map(|(key, _)| key.value().1) else { break };
                candles.retain_in((interval as u8, market, 0)..(interval as u8, market, horizon), |_, _| false)?;
                next = market.checked_add(1);
            }
        }
        Ok(())
    }

    fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.pending.clear();
        transaction.delete_table(CANDLES)?;
        Ok(())
    }
}

/// The latest candles of a market that begin in `from..to`, oldest first, at most `limit`.
pub(super) fn candles(
    transaction: &ReadTransaction,
    market: MarketId,
    interval: Interval,
    (from, to): (Option<Time>, Option<Time>),
    limit: usize,
) -> Result<Vec<(Time, Candle)>, Error> {
    let table = transaction.open_table(CANDLES)?;
    let key = |at: u64| (interval as u8, market.number(), at);
    let (from, to) = (from.map_or(0, Time::micros), to.map_or(u64::MAX, Time::micros));
    let mut found = Vec::new();
    if from < to {
        for row in table.range(key(from)..key(to))?.rev().take(limit) {
            let (key, row) = row?;
            let row: v1::CandleRow = read_row(row.value())?;
            found.push((Time::from_micros(key.value().2), row.into()));
        }
    }
    found.reverse();
    Ok(found)
}
