//! The name of a module: the SHA-256 of its bytes.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a module's bytes.
pub type Digest = [u8; 32];

/// Computes the digest of a module's bytes.
pub fn digest(wasm: &[u8]) -> Digest {
    Sha256::digest(wasm).into()
}
