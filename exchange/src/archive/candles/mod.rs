//! Candles: a market's spot price and volume over each second, minute, hour and day.
//!
//! The prices are the spot price after each command that changed it or traded; volume and count are of public trades.
//! An interval in which nothing traded and the spot price stood still has no candle. Intervals begin at whole multiples
//! of their length since 1970, UTC.

mod candle;
mod interval;

use std::collections::BTreeMap;

use merit_engine::Event;
use merit_proto::v1;
use merit_terms::{MarketId, Price, Time};
use prost::Message;
use redb::{Error, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::log::Keep;
use super::rows::{Rows, read_row};
use crate::sequencer::Happened;

pub(crate) use candle::Candle;
pub(crate) use interval::Interval;

/// Interval, market and beginning in microseconds of a candle.
type CandleKey = (u8, u32, u64);

const CANDLES: TableDefinition<CandleKey, &[u8]> = TableDefinition::new("candles");

#[derive(Default)]
pub(super) struct Candles {
    pending: BTreeMap<CandleKey, Candle>,
}

impl Rows for Candles {
    fn name(&self) -> &'static str {
        "candles"
    }

    fn version(&self) -> u32 {
        3
    }

    fn apply(&mut self, one: &Happened) {
        for (market, spot) in &one.spots {
            let mut candle = Candle::at(spot.map(Price::picodollars));
            for event in &one.events {
                if let Event::Settled { lease, settlement, .. } = event
                    && lease.market == *market
                    && !lease.private
                {
                    candle.add_trade(lease.memory_mb, settlement.billed_ms);
                }
            }
            for interval in Interval::ALL {
                let key = (interval as u8, market.number(), interval.start(one.at));
                let before = self.pending.entry(key).or_default();
                *before = before.then(candle);
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

/// Reads the latest candles of a market that begin in `from..to`. Returns them oldest first, at most `limit`.
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
