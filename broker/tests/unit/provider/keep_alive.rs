//! The time that a server names.

use super::*;

#[test]
fn the_timeout_is_read_among_other_parameters() {
    let read = |value: &'static str| {
        let headers = HeaderMap::from_iter([("keep-alive".parse().unwrap(), value.parse().unwrap())]);
        announced_timeout(&headers).map(|time| time.as_secs())
    };
    for value in ["timeout=5", "max=100, Timeout = 5", "timeout=\"5\""] {
        assert_eq!(read(value), Some(5), "{value}");
    }
    for value in ["", "timeout", "timeout=soon", "timeout=-1", "max=5"] {
        assert_eq!(read(value), None, "{value}");
    }
}
