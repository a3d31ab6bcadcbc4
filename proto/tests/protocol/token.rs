//! Tests of the token of a lease.

use merit_proto::v1::LeaseClaims;
use merit_proto::{TokenError, sign, verify};

fn claims() -> LeaseClaims {
    LeaseClaims { provider: "edge-1".into(), session: 3, function: "echo".into(), ..LeaseClaims::default() }
}

#[test]
fn a_token_says_what_was_signed() {
    let token = sign(&[7; 32], &claims());
    assert_eq!(verify(&[7; 32], &token), Ok(claims()));
}

#[test]
fn a_token_of_another_key_or_changed_anywhere_is_refused() {
    let token = sign(&[7; 32], &claims());
    assert_eq!(verify(&[8; 32], &token), Err(TokenError::Forged));
    assert_eq!(verify(&[7; 32], "nonsense"), Err(TokenError::Malformed));
    for i in 0..token.len() {
        let mut forged = token.clone().into_bytes();
        forged[i] = if forged[i] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert!(forged == token || verify(&[7; 32], &forged).is_err(), "position {i}");
    }
}
