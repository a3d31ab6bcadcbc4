//! Points in time and the periods of the calendar. Never reads a clock.

use std::fmt;
use std::str::FromStr;

/// Microseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

/// Text that is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time, such as 2026-11-23T10:00:00Z")]
pub struct TimeError(String);

impl Time {
    /// The last time that RFC 3339 can write, in the year 9999.
    pub const MAX: Time = Time(253_402_207_200_000_000);

    /// Returns the time `micros` after 1970, cut to [`Time::MAX`].
    pub const fn from_micros(micros: u64) -> Time {
        if micros < Time::MAX.0 { Time(micros) } else { Time::MAX }
    }

    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Returns the time `millis` later, cut to [`Time::MAX`].
    /// Returns the time so many microseconds later, at most the greatest time.
    pub const fn after_micros(self, micros: u64) -> Time {
        Time::from_micros(self.0.saturating_add(micros))
    }

    pub const fn after_millis(self, millis: u64) -> Time {
        Time::from_micros(self.0.saturating_add(millis.saturating_mul(1000)))
    }

    /// Returns the number of this time's period: days or months since 1970, in UTC.
    pub fn period(self, period: Period) -> u32 {
        let days = self.0 / DAY_US;
        match period {
            Period::Day => days as u32,
            Period::Month => month_of(days),
        }
    }

    /// Returns the beginning of the period with this number, in UTC, cut to [`Time::MAX`].
    pub fn start_of(period: Period, number: u32) -> Time {
        let days = match period {
            Period::Day => u64::from(number),
            Period::Month => first_day_of(number),
        };
        Time::from_micros(days.saturating_mul(DAY_US))
    }

    /// Returns the microseconds since `earlier`, or 0 if it is not earlier.
    pub const fn micros_since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The period of a budget or a quota; it begins at midnight UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Month,
}

impl Period {
    pub const fn as_str(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Month => "month",
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Length of a day in microseconds.
const DAY_US: u64 = 86_400_000_000;

/// Converts days since 1970-01-01 to months since January 1970, in the proleptic Gregorian calendar: years begin in
/// March and eras of 400 years have 146,097 days (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn month_of(days: u64) -> u32 {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let months = (era * 400 + year_of_era) * 12 + from_march + 2;
    (months - 1970 * 12) as u32
}

/// Returns the first day, since 1970-01-01, of a month since January 1970.
fn first_day_of(month: u32) -> u64 {
    let months = u64::from(month) + 1970 * 12 - 2;
    let (year, from_march) = (months / 12, months % 12);
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * from_march + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> serde::Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        if deserializer.is_human_readable() {
            return <String as serde::Deserialize>::deserialize(deserializer)?
                .parse()
                .map_err(serde::de::Error::custom);
        }
        <u64 as serde::Deserialize>::deserialize(deserializer).map(Time::from_micros)
    }
}
