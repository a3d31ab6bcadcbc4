//! The token of a lease: what it says, and a MAC by the key of the provider's session.
//!
//! Text of two parts, `base64url(claims).base64url(HMAC-SHA256(key, claims))`. A keyed MAC, no public-key signature:
//! it is made and checked for every invocation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use sha2::Sha256;

use crate::v1::LeaseClaims;

/// Why a token is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token was made by another key")]
    Forged,
}

/// The token of `claims` under `key`.
pub fn sign(key: &[u8; 32], claims: &LeaseClaims) -> String {
    let body = claims.encode_to_vec();
    join(&body, &tag(key, &body))
}

/// What a token says, if `key` made it. Compares in constant time.
pub fn verify(key: &[u8; 32], token: &str) -> Result<LeaseClaims, TokenError> {
    let (body, tag) = split(token)?;
    check(key, &body, &tag)?;
    LeaseClaims::decode(body.as_slice()).map_err(|_| TokenError::Malformed)
}

/// The MAC of `body` by `key`.
pub(crate) fn tag(key: &[u8; 32], body: &[u8]) -> [u8; 32] {
    mac(key, body).finalize().into_bytes().into()
}

/// Refuses a tag that `key` did not make of `body`.
pub(crate) fn check(key: &[u8; 32], body: &[u8], tag: &[u8]) -> Result<(), TokenError> {
    mac(key, body).verify_slice(tag).map_err(|_| TokenError::Forged)
}

/// A body and its tag as text.
pub(crate) fn join(body: &[u8], tag: &[u8]) -> String {
    let mut token = URL_SAFE_NO_PAD.encode(body);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag, &mut token);
    token
}

/// What [`join`] joined.
pub(crate) fn split(token: &str) -> Result<(Vec<u8>, Vec<u8>), TokenError> {
    let (body, tag) = token.split_once('.').ok_or(TokenError::Malformed)?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed);
    Ok((decode(body)?, decode(tag)?))
}

fn mac(key: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new(&padded(key));
    mac.update(body);
    mac
}

/// The key as one block of SHA-256, which HMAC pads with zeros.
fn padded(key: &[u8; 32]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block[..32].copy_from_slice(key);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> LeaseClaims {
        LeaseClaims { provider: "edge-1".into(), session: 3, function: "echo".into(), ..LeaseClaims::default() }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let token = sign(&[7; 32], &claims());
        assert_eq!(verify(&[7; 32], &token), Ok(claims()));
    }

    #[test]
    fn a_token_of_another_key_or_with_any_character_changed_is_refused() {
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
}
