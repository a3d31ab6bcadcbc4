//! Refused offers, line by line.

use serde_json::json;

use super::{grouped, more_refused};

#[test]
fn equal_refusals_of_one_seller_are_one_line() {
    let offer = |provider: &str, code: &str, reason: &str| [provider, "local/wasm", code, reason].map(str::to_owned);
    let refused = [
        offer("a", "cost", "costs up to 3"),
        offer("b", "cost", "costs up to 3"),
        offer("a", "cost", "costs up to 4"),
        offer("a", "region", "not there"),
    ];
    let expected = [(refused[0].clone(), 2), (refused[1].clone(), 1), (refused[3].clone(), 1)];
    assert_eq!(grouped(refused), expected);
}

#[test]
fn refused_offers_without_a_name_are_one_line() {
    let answer = json!({"refused": [], "more_refused": {"no_slot": 1, "not_allowed": 3}});
    assert_eq!(more_refused(&answer).as_deref(), Some("not listed: 1 no_slot, 3 not_allowed"));
    assert_eq!(more_refused(&json!({"refused": []})), None);
}
