//! Tests of the ends and spans of keys, as they are typed.

use super::*;

#[test]
fn a_span_is_a_number_and_its_unit() {
    let seconds = |text| span(text).map(|span| span.as_secs()).ok();
    assert_eq!(["30s", "15m", "12h", "90d"].map(seconds), [30, 900, 43_200, 7_776_000].map(Some));
    assert_eq!(["", "d", "90", "-1d", "1.5h", "1w", "1é"].map(seconds), [None; 7]);
}

#[test]
fn an_end_is_a_time_or_from_now() {
    assert_eq!(end("2027-01-31T00:00:00Z").unwrap().to_string(), "2027-01-31T00:00:00Z");
    assert!(end("90d").unwrap() > end("89d").unwrap());
    assert!(end("soon").unwrap_err().contains("is not a time"));
}
