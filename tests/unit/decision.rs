//! Refused offers, line by line.

use super::grouped;

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
