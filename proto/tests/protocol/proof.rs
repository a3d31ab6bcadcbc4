//! Tests of the exchange's proof of a lease.

use merit_proto::v1::{LeaseProof, LeaseTerms};
use merit_proto::{TokenError, check_proof, prove, read_proof, write_proof};

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
fn a_proof_of_another_key_or_changed_anywhere_is_refused() {
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
