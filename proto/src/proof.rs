//! The exchange's proof of a lease: its terms, and a MAC by a key that only the exchange has.
//!
//! Its text has two parts, `base64url(terms).base64url(HMAC-SHA256(key, terms))`. Its holder made the call or was sent
//! it: a provider claims by it, and a broker settles by it a lease that a crash of the exchange forgot. Never says
//! whether the lease is open.

use prost::Message;

use crate::token::{TokenError, check, join, split, tag};
use crate::v1::{LeaseProof, LeaseTerms};

/// Makes the proof of `terms` under `key`.
pub fn prove(key: &[u8; 32], terms: &LeaseTerms) -> LeaseProof {
    let terms = terms.encode_to_vec();
    let mac = tag(key, &terms).to_vec();
    LeaseProof { terms, mac }
}

/// Checks in constant time that `key` made the proof. Returns its terms.
pub fn check_proof(key: &[u8; 32], proof: &LeaseProof) -> Result<LeaseTerms, TokenError> {
    check(key, &proof.terms, &proof.mac)?;
    LeaseTerms::decode(proof.terms.as_slice()).map_err(|_| TokenError::Malformed)
}

/// Writes a proof as text, for a header.
pub fn write_proof(proof: &LeaseProof) -> String {
    join(&proof.terms, &proof.mac)
}

/// Reads the text of [`write_proof`]. Does not check the MAC, whose key only the exchange has.
pub fn read_proof(text: &str) -> Result<LeaseProof, TokenError> {
    let (terms, mac) = split(text)?;
    Ok(LeaseProof { terms, mac })
}
