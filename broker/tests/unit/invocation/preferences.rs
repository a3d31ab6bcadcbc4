//! Preferences in headers, by cases.

use super::*;

fn read(pairs: &[(&'static str, &'static str)]) -> Result<Preferences, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
    Preferences::read(&headers, now).map_err(|error| error.message)
}

#[test]
fn every_preference_is_read() {
    let read = read(&[
        ("merit-max-cost", "0.0005"),
        ("merit-max-price", "0.00003"),
        ("merit-only", "edge-1, edge-2"),
        ("merit-region", "eu-*, us-east/wasm"),
        ("merit-labels", "residency=eu"),
        ("merit-max-latency-ms", "800"),
        ("merit-allow-fallback", "false"),
        ("merit-deadline", "+30s"),
        ("merit-idempotent", "true"),
    ])
    .unwrap();
    assert_eq!(read.limits.max_cost.unwrap().to_string(), "0.0005");
    assert_eq!(read.limits.only.len(), 2);
    assert_eq!(read.limits.markets[0].as_str(), "eu-*/*");
    assert_eq!(read.limits.labels, [("residency".to_owned(), "eu".to_owned())]);
    assert_eq!((read.one_attempt, read.idempotent), (true, Some(true)));
    assert_eq!(read.within, Some(Duration::from_secs(30)));
}

#[test]
fn what_is_malformed_or_unknown_is_named() {
    let check = |name, value, part: &str| {
        let message = read(&[(name, value)]).unwrap_err();
        assert!(message.contains(part), "{message}");
    };
    check("merit-max-cots", "1", "did you mean merit-max-cost?");
    check("merit-max-cost", "-1", "negative");
    check("merit-max-cost", "cheap", "not a decimal");
    check("merit-only", "a b", "not a name");
    check("merit-deadline", "soon", "+30s");
    check("merit-deadline", "2001-01-01T00:00:00Z", "has passed");
    check("merit-labels", "eu", "name=value");
    check("merit-only", " , ", "empty list");
    let twice = read(&[("merit-max-cost", "1"), ("merit-max-cost", "2")]).unwrap_err();
    assert!(twice.contains("more than once"), "{twice}");
    check("merit-allow-fallback", "no", "merit-allow-fallback");
}

#[test]
fn headers_of_answers_are_dropped() {
    assert_eq!(read(&[("merit-cost", "0"), ("x-other", "y")]), Ok(Preferences::default()));
}
