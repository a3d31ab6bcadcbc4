//! Queries over the past, by cases.

use super::*;
use crate::doors::request::Query;

fn read(query: &str) -> Result<Past, String> {
    let uri = format!("/v1/markets/local/wasm/trades?{query}").parse().unwrap();
    Query::read(&uri).and_then(|Query(past): Query<PastQuery>| past.checked(1_000)).map_err(|error| error.message)
}

#[test]
fn bounds_are_read() {
    assert_eq!(read("").unwrap(), Past::default());
    let span = read("from=2026-11-23T10:00:00Z&to=2026-11-23T11:00:00%2B01:00&limit=7&before=12").unwrap();
    assert_eq!((span.from, span.to), (span.to, span.from));
    assert_eq!((span.limit, span.before), (Some(7), Some(12)));
}

#[test]
fn a_wrong_bound_is_named() {
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
