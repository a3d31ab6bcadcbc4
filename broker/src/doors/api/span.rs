//! What a query asks for of the past: from when, until when, how many, before which sequence.

use merit_terms::Time;
use serde::Deserialize;

use crate::error::ApiError;

/// A query as it was sent; what is left out sets no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Span {
    pub(crate) from: Option<Time>,
    pub(crate) to: Option<Time>,
    limit: Option<u32>,
    pub(crate) before: Option<u64>,
}

impl Span {
    /// Refuses bounds that are no bounds, and a limit that is not from 1 to `most`.
    pub(crate) fn checked(self, most: u32) -> Result<Span, ApiError> {
        check(self.from, self.to, self.limit, most)?;
        Ok(self)
    }

    /// 0: as many as is usual.
    pub(crate) fn limit(self) -> u32 {
        self.limit.unwrap_or(0)
    }
}

/// Refuses an empty stretch of time, and a limit that is not from 1 to `most`.
pub(crate) fn check(from: Option<Time>, to: Option<Time>, limit: Option<u32>, most: u32) -> Result<(), ApiError> {
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(ApiError::malformed(format!("from: {from} is after `to`, {to}")));
    }
    match limit {
        Some(limit) if limit == 0 || limit > most => {
            Err(ApiError::malformed(format!("limit: {limit}; from 1 to {most}")))
        }
        _ => Ok(()),
    }
}

/// Microseconds since 1970; 0 for no bound.
pub(crate) fn micros(time: Option<Time>) -> u64 {
    time.map_or(0, Time::micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::request::Query;

    fn read(query: &str) -> Result<Span, String> {
        let uri = format!("/v1/markets/local/wasm/trades?{query}").parse().unwrap();
        Query::read(&uri).and_then(|Query(span): Query<Span>| span.checked(1_000)).map_err(|error| error.message)
    }

    #[test]
    fn bounds_are_read() {
        assert_eq!(read("").unwrap(), Span::default());
        let span = read("from=2026-11-23T10:00:00Z&to=2026-11-23T11:00:00%2B01:00&limit=7&before=12").unwrap();
        assert_eq!((span.from, span.to), (span.to, span.from));
        assert_eq!((span.limit(), span.before), (7, Some(12)));
    }

    #[test]
    fn what_is_no_bound_is_named() {
        let cases = [
            ("from=soon", "from: `soon` is not an RFC 3339 time, such as 2026-11-23T10:00:00Z"),
            ("to=1", "to: `1` is not an RFC 3339 time"),
            ("limit=many", "limit: is not a whole number"),
            ("limit=0", "limit: 0; from 1 to 1000"),
            ("limit=1001", "limit: 1001; from 1 to 1000"),
            ("before=-1", "before: is not a whole number"),
            ("until=2026-11-23T10:00:00Z", "unknown field `until`"),
            ("from=2026-11-23T10:00:01Z&to=2026-11-23T10:00:00Z", "is after `to`"),
        ];
        for (query, expected) in cases {
            let message = read(query).unwrap_err();
            assert!(message.contains(expected), "{query}: {message}");
        }
    }
}
