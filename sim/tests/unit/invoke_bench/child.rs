//! The kernel's line about a process.

use super::*;

#[test]
fn ticks_are_fields_14_and_15_at_any_name() {
    let rest = "S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 1";
    assert_eq!(parse_ticks(&format!("77 (merit) {rest}")), Some(154));
    assert_eq!(parse_ticks(&format!("77 (a) b (c) {rest}")), Some(154));
    assert_eq!(parse_ticks("77 (merit) S 1 2"), None);
}
