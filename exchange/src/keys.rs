//! The master key of a data directory, and what is derived from it: session keys, lease proofs, the secrets of keys.
//!
//! A secret is made whenever it is needed, never kept and never logged.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use merit_terms::KeyId;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Why the master key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("could not use the master key in {path}")]
    Io { path: String, source: io::Error },
    #[error("the master key in {path} has {bytes} bytes instead of 32; restore it from a backup")]
    Malformed { path: String, bytes: usize },
    #[error("the master key in {path} can be read by others; set its mode to 0600")]
    Exposed { path: String },
}

/// The key that all others come from; it never leaves the process, and what is printed hides it.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

/// Why a text is not a master key; it does not repeat the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a master key is 32 bytes: 64 hexadecimal characters, or base64")]
pub struct MasterKeyError;

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(*)")
    }
}

impl FromStr for MasterKey {
    type Err = MasterKeyError;
    fn from_str(text: &str) -> Result<MasterKey, MasterKeyError> {
        let bytes = match text.len() {
            64 => hex::decode(text).ok(),
            _ => [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].iter().find_map(|code| code.decode(text).ok()),
        };
        bytes.and_then(|bytes| bytes.try_into().ok()).map(MasterKey).ok_or(MasterKeyError)
    }
}

impl MasterKey {
    /// Whether they are the same key.
    pub(crate) fn is(&self, other: &MasterKey) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// The key in `path`, made at the first start.
    pub(crate) fn open(path: &Path) -> Result<MasterKey, KeyError> {
        let text = || path.display().to_string();
        let failed = |source| KeyError::Io { path: text(), source };
        if !path.exists() {
            create(path).map_err(failed)?;
        }
        if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed { path: text() });
        }
        let bytes = fs::read(path).map_err(failed)?;
        let key = bytes.as_slice().try_into();
        key.map(MasterKey).map_err(|_| KeyError::Malformed { path: text(), bytes: bytes.len() })
    }

    /// The key that signs the tokens of one session of one provider.
    pub(crate) fn session_key(&self, provider: &str, session: u32) -> [u8; 32] {
        self.derive(&[b"session\0", provider.as_bytes(), b"\0", &session.to_le_bytes()])
    }

    /// The key that proves leases; it never leaves the process.
    pub(crate) fn lease_key(&self) -> [u8; 32] {
        self.derive(&[b"lease\0"])
    }

    /// The secret of a version of a key.
    pub(crate) fn secret(&self, key: KeyId, version: u32) -> String {
        let id = key.to_string();
        URL_SAFE_NO_PAD.encode(self.derive(&[b"key\0", id.as_bytes(), b"\0", &version.to_le_bytes()]))
    }

    /// Whether `shown` is the secret of a version of a key. Takes as long for any secret of the same length.
    pub(crate) fn is_secret(&self, key: KeyId, version: u32, shown: &str) -> bool {
        self.secret(key, version).as_bytes().ct_eq(shown.as_bytes()).into()
    }

    fn derive(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block);
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

fn create(path: &Path) -> io::Result<()> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let unfinished = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(directory) => fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master() -> MasterKey {
        MasterKey([7; 32])
    }

    /// What was handed out is good for ever: the derivation may not change.
    #[test]
    fn a_secret_is_that_of_the_key_and_its_version_alone() {
        let secret = master().secret(KeyId(4711), 1);
        assert_eq!(secret, "1r5DjIWiCFx_vLagElg-4AM_vamxMbzQHjiivPgiDpE");
        assert!(master().is_secret(KeyId(4711), 1, &secret));
        for (key, version) in [(4711, 2), (471, 1), (1, 4711)] {
            assert!(!master().is_secret(KeyId(key), version, &secret));
        }
        assert!(!master().is_secret(KeyId(4711), 1, ""));
        assert!(!MasterKey([8; 32]).is_secret(KeyId(4711), 1, &secret));
    }

    #[test]
    fn a_master_key_is_read_from_hexadecimal_or_base64_and_never_printed() {
        for text in ["07".repeat(32), STANDARD.encode([7; 32]), URL_SAFE_NO_PAD.encode([7; 32])] {
            let key: MasterKey = text.parse().unwrap();
            assert!(key.is(&master()));
            assert_eq!(format!("{key:?}"), "MasterKey(*)");
        }
        for text in ["", "07", &"07".repeat(33), &"zz".repeat(32), &STANDARD.encode([7; 31])] {
            assert!(text.parse::<MasterKey>().is_err(), "{text}");
        }
    }
}
