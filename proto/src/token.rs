//! The token of a lease: its claims, and a MAC by the key of the provider's session.
//!
//! Its text has two parts, `base64url(claims).base64url(HMAC-SHA256(key, claims))`. A keyed MAC and no public-key
//! signature, because it is made and checked for every invocation. Never checks the claims themselves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use sha2::Sha256;

use crate::v1::LeaseClaims;

/// A token or proof that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token was made by another key")]
    Forged,
}

/// Makes the token of `claims` under `key`.
pub fn sign(key: &[u8; 32], claims: &LeaseClaims) -> String {
    let body = claims.encode_to_vec();
    join(&body, &tag(key, &body))
}

/// Checks in constant time that `key` made the token. Returns its claims.
pub fn verify(key: &[u8; 32], token: &str) -> Result<LeaseClaims, TokenError> {
    let (body, tag) = split(token)?;
    check(key, &body, &tag)?;
    LeaseClaims::decode(body.as_slice()).map_err(|_| TokenError::Malformed)
}

/// Computes the MAC of `body` by `key`.
pub(crate) fn tag(key: &[u8; 32], body: &[u8]) -> [u8; 32] {
    mac(key, body).finalize().into_bytes().into()
}

/// Refuses a tag that `key` did not make of `body`.
pub(crate) fn check(key: &[u8; 32], body: &[u8], tag: &[u8]) -> Result<(), TokenError> {
    mac(key, body).verify_slice(tag).map_err(|_| TokenError::Forged)
}

/// Writes a body and its tag as text.
pub(crate) fn join(body: &[u8], tag: &[u8]) -> String {
    let mut token = URL_SAFE_NO_PAD.encode(body);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(tag, &mut token);
    token
}

/// Reads the text of [`join`]. Returns the body and the tag.
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

/// Pads the key with zeros to one block of SHA-256, as HMAC does.
fn padded(key: &[u8; 32]) -> hmac::digest::Key<Hmac<Sha256>> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block[..32].copy_from_slice(key);
    block
}
