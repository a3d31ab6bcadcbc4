//! Deadlines of gRPC calls, by cases.

use super::*;

fn check(text: &str, expected: Option<Duration>) {
    let headers = HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]);
    assert_eq!(deadline(&headers), expected, "{text}");
}

#[test]
fn a_deadline_is_digits_and_a_unit() {
    check("2H", Some(Duration::from_secs(7_200)));
    check("3M", Some(Duration::from_secs(180)));
    check("99999999S", Some(Duration::from_secs(99_999_999)));
    check("100m", Some(Duration::from_millis(100)));
    check("100u", Some(Duration::from_micros(100)));
    check("0n", Some(Duration::ZERO));
    for unreadable in ["", "S", "1", "1s", "-1S", "100000000S", "1.5S", "\u{e4}"] {
        check(unreadable, None);
    }
    assert_eq!(deadline(&HeaderMap::new()), None);
}
