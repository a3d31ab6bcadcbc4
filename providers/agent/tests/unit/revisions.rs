//! The wait of a call for its module.

use super::*;

#[test]
fn calls_wait_only_in_the_first_seconds_of_a_load() {
    let seconds = Duration::from_secs;
    assert_eq!(wait_limit(seconds(1), None), seconds(1));
    assert_eq!(wait_limit(seconds(60), None), WAIT_MAX);
    assert_eq!(wait_limit(seconds(60), Some(seconds(2))), seconds(3));
    assert_eq!(wait_limit(seconds(60), Some(seconds(7))), Duration::ZERO);
}
