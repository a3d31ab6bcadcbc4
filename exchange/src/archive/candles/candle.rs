//! One candle, and how two of one interval are joined.

use merit_proto::v1;

/// The spot price and the trades of one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candle {
    /// First, greatest and least spot price in picodollars; none if there was none.
    pub(crate) range: Option<[u64; 3]>,
    /// Spot price at the end; none if no offer had room.
    pub(crate) close: Option<u64>,
    /// Energy of all trades in MB-ms: memory x billed time.
    pub(crate) energy_mb_ms: u128,
    pub(crate) trades: u64,
}

impl Candle {
    /// Makes the candle of one moment, without a trade.
    pub(super) fn at(spot: Option<u64>) -> Candle {
        Candle { range: spot.map(|price| [price; 3]), close: spot, ..Candle::default() }
    }

    pub(super) fn add_trade(&mut self, memory_mb: u32, billed_ms: u64) {
        self.energy_mb_ms += u128::from(memory_mb) * u128::from(billed_ms);
        self.trades += 1;
    }

    /// Joins this candle with a later one of the same interval.
    pub(super) fn then(self, later: Candle) -> Candle {
        let range = match (self.range, later.range) {
            (Some([open, high, low]), Some([_, later_high, later_low])) => {
                Some([open, high.max(later_high), low.min(later_low)])
            }
            (earlier, later) => earlier.or(later),
        };
        Candle {
            range,
            close: later.close,
            energy_mb_ms: self.energy_mb_ms + later.energy_mb_ms,
            trades: self.trades + later.trades,
        }
    }
}

impl From<&Candle> for v1::CandleRow {
    fn from(candle: &Candle) -> v1::CandleRow {
        let price = |i: usize| candle.range.map(|range| range[i]);
        v1::CandleRow {
            open: price(0),
            high: price(1),
            low: price(2),
            close: candle.close,
            energy_high: (candle.energy_mb_ms >> 64) as u64,
            energy_low: candle.energy_mb_ms as u64,
            trades: candle.trades,
        }
    }
}

impl From<v1::CandleRow> for Candle {
    fn from(row: v1::CandleRow) -> Candle {
        let range = match (row.open, row.high, row.low) {
            (Some(open), Some(high), Some(low)) => Some([open, high, low]),
            _ => None,
        };
        let energy_mb_ms = (u128::from(row.energy_high) << 64) | u128::from(row.energy_low);
        Candle { range, close: row.close, energy_mb_ms, trades: row.trades }
    }
}
