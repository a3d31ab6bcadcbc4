//! Refused offers, line by line.

use super::grouped;

#[test]
fn equal_refusals_of_one_seller_are_one_line() {
    let offer = |provider: &str, reason: &str| [provider, "local/wasm", "full", reason].map(str::to_owned);
    let refused = [offer("a", "no room"), offer("b", "no room"), offer("a", "no room"), offer("a", "too slow")];
    let expected = [(offer("a", "no room"), 2), (offer("b", "no room"), 1), (offer("a", "too slow"), 1)];
    assert_eq!(grouped(refused), expected);
}
