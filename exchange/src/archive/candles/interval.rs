//! The intervals of candles: their lengths, their beginnings, and their retention.

use merit_terms::Time;

/// The interval of a candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interval {
    Second,
    Minute,
    Hour,
    Day,
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

    /// Returns the beginning of the interval around `at`, in microseconds.
    pub(super) const fn start(self, at: Time) -> u64 {
        at.micros() - at.micros() % self.micros()
    }

    /// Returns the retention in days; none for ever. A market has at most some 300,000 candles of all intervals but
    /// days.
    pub(super) const fn days_kept(self) -> Option<u64> {
        match self {
            Interval::Second => Some(2),
            Interval::Minute => Some(60),
            Interval::Hour => Some(3 * 365),
            Interval::Day => None,
        }
    }
}
