//! One candle, and how two of one interval are joined.

use merit_proto::v1;

/// The trades of one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candle {
    /// Open, high, low, close in picodollars; none before the market's first spot price.
    pub(crate) prices: Option<[u64; 4]>,
    /// Energy of all trades in MB-ms: memory x billed time.
    pub(crate) energy_mb_ms: u128,
    pub(crate) trades: u64,
}

impl Candle {
    pub(super) fn of(memory_mb: u32, billed_ms: u64, spot_price: Option<u64>) -> Candle {
        Candle {
            prices: spot_price.map(|price| [price; 4]),
            energy_mb_ms: u128::from(memory_mb) * u128::from(billed_ms),
            trades: 1,
        }
    }

    /// Joins this candle with a later one of the same interval.
    pub(super) fn then(self, later: Candle) -> Candle {
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
