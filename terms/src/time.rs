//! Points in time, given from outside; nothing here reads a clock.

use std::fmt;
use std::str::FromStr;

/// Microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

/// Why a text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time, such as 2026-11-23T10:00:00Z")]
pub struct TimeError(String);

impl Time {
    /// The year 9999, the last that RFC 3339 can write.
    pub const MAX: Time = Time(253_402_207_200_000_000);

    /// `micros` since 1970, cut to [`Time::MAX`].
    pub const fn from_micros(micros: u64) -> Time {
        if micros < Time::MAX.0 { Time(micros) } else { Time::MAX }
    }

    pub const fn micros(self) -> u64 {
        self.0
    }

    /// This time `millis` later, cut to [`Time::MAX`].
    pub const fn after_millis(self, millis: u64) -> Time {
        Time::from_micros(self.0.saturating_add(millis.saturating_mul(1000)))
    }

    /// Microseconds from `earlier` to this; 0 if it is not earlier.
    pub const fn micros_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0 as i64) {
            Ok(timestamp) => write!(f, "{timestamp}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for Time {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Time, TimeError> {
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| TimeError(text.to_owned()))?;
        u64::try_from(timestamp.as_microsecond()).map(Time::from_micros).map_err(|_| TimeError(text.to_owned()))
    }
}

impl serde::Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
