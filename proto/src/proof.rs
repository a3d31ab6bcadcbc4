//! The exchange's proof of a lease: its terms, and a MAC by a key that only the exchange has.
//!
//! As text two parts, `base64url(terms).base64url(HMAC-SHA256(key, terms))`. Who shows one was sent the call, or made
//! it: a provider claims by it, and a broker settles by it what a crash of the exchange forgot.

use prost::Message;

use crate::token::{TokenError, check, join, split, tag};
use crate::v1::{LeaseProof, LeaseTerms};

/// The proof of `terms` under `key`.
pub fn prove(key: &[u8; 32], terms: &LeaseTerms) -> LeaseProof {
    let terms = terms.encode_to_vec();
    let mac = tag(key, &terms).to_vec();
    LeaseProof { terms, mac }
}

/// What a proof says, if `key` made it. Compares in constant time.
pub fn check_proof(key: &[u8; 32], proof: &LeaseProof) -> Result<LeaseTerms, TokenError> {
    check(key, &proof.terms, &proof.mac)?;
    LeaseTerms::decode(proof.terms.as_slice()).map_err(|_| TokenError::Malformed)
}

/// A proof as text, for a header.
pub fn write_proof(proof: &LeaseProof) -> String {
    join(&proof.terms, &proof.mac)
}

/// What [`write_proof`] wrote; whether the exchange made it, only the exchange can tell.
pub fn read_proof(text: &str) -> Result<LeaseProof, TokenError> {
    let (terms, mac) = split(text)?;
    Ok(LeaseProof { terms, mac })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn terms() -> LeaseTerms {
        LeaseTerms { account: 2, revision: 3, hold: 6_450_013, memory_mb: 128, ..LeaseTerms::default() }
    }

    #[test]
    fn a_proof_says_what_was_granted_also_as_text() {
        let proof = prove(&KEY, &terms());
        assert_eq!(check_proof(&KEY, &proof), Ok(terms()));
        assert_eq!(read_proof(&write_proof(&proof)), Ok(proof));
    }

    #[test]
    fn a_proof_of_another_key_or_with_any_byte_changed_is_refused() {
        let proof = prove(&KEY, &terms());
        assert_eq!(check_proof(&[8; 32], &proof), Err(TokenError::Forged));
        for i in 0..proof.terms.len() {
            let mut forged = proof.clone();
            forged.terms[i] ^= 1;
            assert_eq!(check_proof(&KEY, &forged), Err(TokenError::Forged), "byte {i} of the terms");
        }
        for i in 0..proof.mac.len() {
            let mut forged = proof.clone();
            forged.mac[i] ^= 1;
            assert_eq!(check_proof(&KEY, &forged), Err(TokenError::Forged), "byte {i} of the mac");
        }
        let cut = LeaseProof { mac: proof.mac[..31].to_vec(), ..proof };
        assert_eq!(check_proof(&KEY, &cut), Err(TokenError::Forged));
        assert_eq!(check_proof(&KEY, &LeaseProof::default()), Err(TokenError::Forged));
    }

    #[test]
    fn garbage_is_no_proof() {
        for garbage in ["", "nonsense", "a.b.c", "====.===="] {
            assert_eq!(read_proof(garbage), Err(TokenError::Malformed), "{garbage}");
        }
    }
}
