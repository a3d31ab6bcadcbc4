//! Tests of the exchange's order to load a module.

use merit_proto::v1::{WarmingOrder, WarmingTerms};
use merit_proto::{TokenError, check_order, order_warming};

const KEY: [u8; 32] = [7; 32];

fn terms() -> WarmingTerms {
    WarmingTerms { provider: "edge".to_owned(), session: 3, revision: 2, expires: 1_000, ..WarmingTerms::default() }
}

#[test]
fn an_order_says_its_terms() {
    assert_eq!(check_order(&KEY, &order_warming(&KEY, &terms())), Ok(terms()));
}

#[test]
fn an_order_of_another_key_or_changed_anywhere_is_refused() {
    let order = order_warming(&KEY, &terms());
    assert_eq!(check_order(&[8; 32], &order), Err(TokenError::Forged));
    for i in 0..order.terms.len() {
        let mut forged = order.clone();
        forged.terms[i] ^= 1;
        assert_eq!(check_order(&KEY, &forged), Err(TokenError::Forged), "byte {i} of the terms");
    }
    for i in 0..order.mac.len() {
        let mut forged = order.clone();
        forged.mac[i] ^= 1;
        assert_eq!(check_order(&KEY, &forged), Err(TokenError::Forged), "byte {i} of the mac");
    }
    let cut = WarmingOrder { mac: order.mac[..31].to_vec(), ..order };
    assert_eq!(check_order(&KEY, &cut), Err(TokenError::Forged));
    assert_eq!(check_order(&KEY, &WarmingOrder::default()), Err(TokenError::Forged));
}
