//! The caller's preferences from `Merit-*` headers, the same at every door. Malformed and unknown headers are refused,
//! never ignored.

use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use merit_terms::{Limits, MarketPattern, Name, Time};

use crate::error::{ApiError, in_clear};

/// The time at which a request's head was read: deadlines count from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received(pub(crate) Instant);

/// The preferences for one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Preferences {
    pub(crate) limits: Limits,
    /// `Merit-Allow-Fallback: false` asks for one attempt.
    pub(crate) one_attempt: bool,
    /// Total time of the call.
    pub(crate) within: Option<Duration>,
    /// The caller's word for this call; none leaves it to the function's.
    pub(crate) idempotent: Option<bool>,
    /// Set where the answer is to carry the end of the function's log.
    pub(crate) with_log: bool,
}

/// Headers of requests.
const ASKED: [&str; 12] = [
    "merit-max-cost",
    "merit-max-price",
    "merit-only",
    "merit-ignore",
    "merit-region",
    "merit-labels",
    "merit-max-latency-ms",
    "merit-allow-fallback",
    "merit-deadline",
    "merit-idempotent",
    "merit-log-type",
    "merit-key",
];
/// Headers of answers: dropped from requests, because clients copy headers.
const ANSWERED: [&str; 11] = [
    "merit-invocation-id",
    "merit-provider",
    "merit-market",
    "merit-revision",
    "merit-price",
    "merit-quoted-cost",
    "merit-cost",
    "merit-billed-ms",
    "merit-attempts",
    "merit-overhead-us",
    "merit-log-result",
];

impl Preferences {
    /// Reads the preferences in `headers`; a deadline counts from `now`.
    pub(crate) fn read(headers: &HeaderMap, now: SystemTime) -> Result<Preferences, ApiError> {
        let mut preferences = Preferences::default();
        for name in headers.keys() {
            let text = name.as_str();
            if !text.starts_with("merit-") || ANSWERED.contains(&text) {
                continue;
            }
            let mut values = headers.get_all(name).iter();
            if let (Some(value), None) = (values.next(), values.next()) {
                let value = value.to_str().map_err(|_| bad(text, "is not ASCII"))?.trim();
                preferences.take(text, value, now)?;
            } else {
                return Err(bad(text, "stands more than once; say it in one, its values separated by commas"));
            }
        }
        preferences.limits.check().map_err(|error| ApiError::malformed(error.to_string()))?;
        Ok(preferences)
    }

    fn take(&mut self, name: &str, value: &str, now: SystemTime) -> Result<(), ApiError> {
        match name {
            "merit-max-cost" => self.limits.max_cost = Some(parse(name, value)?),
            "merit-max-price" => self.limits.max_price = Some(parse(name, value)?),
            "merit-only" => self.limits.only = list(name, value)?,
            "merit-ignore" => self.limits.ignore = list(name, value)?,
            "merit-region" => self.limits.markets = regions(name, value)?,
            "merit-labels" => self.limits.labels = labels(name, value)?,
            "merit-max-latency-ms" => self.limits.max_latency_ms = Some(parse(name, value)?),
            "merit-allow-fallback" => self.one_attempt = !parse::<bool>(name, value)?,
            "merit-idempotent" => self.idempotent = Some(parse(name, value)?),
            "merit-log-type" => self.with_log = log_type(name, value)?,
            "merit-deadline" => self.within = Some(deadline(name, value, now)?),
            // Checked before any door, and where the call is admitted.
            "merit-key" | "merit-via" => {}
            unknown => return Err(unknown_header(unknown)),
        }
        Ok(())
    }
}

fn bad(name: &str, message: impl std::fmt::Display) -> ApiError {
    ApiError::malformed(format!("the header {name} {message}"))
}

/// Largest edit distance at which a known name is suggested.
const NEAR: usize = 2;

fn unknown_header(name: &str) -> ApiError {
    let distance = |known: &&str| strsim::damerau_levenshtein(known, name);
    match ASKED.into_iter().min_by_key(distance).filter(|known| distance(known) <= NEAR) {
        Some(nearest) => bad(name, format!("is not known; did you mean {nearest}?")),
        None => bad(name, "is not known"),
    }
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<T, ApiError> {
    value
        .parse()
        .map_err(|error: T::Err| bad(name, format!("has the value `{value}`: {}", in_clear(&error.to_string()))))
}

fn log_type(name: &str, value: &str) -> Result<bool, ApiError> {
    match value.to_ascii_lowercase().as_str() {
        "tail" => Ok(true),
        "none" => Ok(false),
        _ => Err(bad(name, format!("has the value `{value}`; Tail or None"))),
    }
}

/// Reads the items of a list. Refuses an empty one, which would ask for nothing.
fn items<T>(name: &str, value: &str, read: impl Fn(&str) -> Result<T, ApiError>) -> Result<Vec<T>, ApiError> {
    let items: Vec<T> =
        value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(read).collect::<Result<_, _>>()?;
    if items.is_empty() { Err(bad(name, "is an empty list; leave it out instead")) } else { Ok(items) }
}

fn list(name: &str, value: &str) -> Result<Vec<Name>, ApiError> {
    items(name, value, |item| parse(name, item))
}

/// Reads patterns over regions; one with a class, `eu-*/wasm`, is over markets.
fn regions(name: &str, value: &str) -> Result<Vec<MarketPattern>, ApiError> {
    let pattern = |item: &str| match item.contains('/') {
        true => parse(name, item),
        false => parse(name, &format!("{item}/*")),
    };
    items(name, value, pattern)
}

fn labels(name: &str, value: &str) -> Result<Vec<(String, String)>, ApiError> {
    let label = |item: &str| match item.split_once('=') {
        Some((label, value)) if !label.is_empty() => Ok((label.trim().to_owned(), value.trim().to_owned())),
        _ => Err(bad(name, format!("has `{item}`; a label is name=value, such as residency=eu"))),
    };
    items(name, value, label)
}

/// Returns the time left until an RFC 3339 time, or the time of `+30s`, `+1500ms`, `+5m` itself.
fn deadline(name: &str, value: &str, now: SystemTime) -> Result<Duration, ApiError> {
    let wrong =
        || bad(name, format!("has the value `{value}`: a time such as 2026-11-23T10:00:00Z, or +30s, +500ms, +5m"));
    let Some(relative) = value.strip_prefix('+') else {
        let at: Time = value.parse().map_err(|_| wrong())?;
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(at.micros());
        return at.duration_since(now).map_err(|_| bad(name, format!("`{value}` has passed")));
    };
    let (digits, millis) = [("ms", 1), ("s", 1_000), ("m", 60_000)]
        .into_iter()
        .find_map(|(unit, millis)| Some((relative.strip_suffix(unit)?, millis)))
        .ok_or_else(wrong)?;
    let count: u32 = digits.parse().map_err(|_| wrong())?;
    Ok(Duration::from_millis(u64::from(count) * millis))
}

#[cfg(test)]
#[path = "../../tests/unit/invocation/preferences.rs"]
mod tests;
