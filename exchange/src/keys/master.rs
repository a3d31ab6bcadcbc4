//! The master key of a data directory, and its derived keys: session keys, the key of lease proofs, the secrets of
//! keys.
//!
//! A secret is derived whenever it is needed, never kept and never logged.

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

/// A master key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("could not use the master key in {path}")]
    Io { path: String, source: io::Error },
    #[error("the master key in {path} has {bytes} bytes instead of 32; restore it from a backup")]
    Malformed { path: String, bytes: usize },
    #[error("the master key in {path} can be read by others; set its mode to 0600")]
    Exposed { path: String },
    #[error("the master key in {path} is 32 equal bytes, not a random key; restore it from a backup")]
    NotDrawn { path: String },
    #[error(
        "the master key in {path} is missing, on which all secrets and open leases depend; restore it from a backup, \
         or begin with a new one by --new-master-key: then existing keys and open leases become invalid"
    )]
    Missing { path: String },
    #[error(
        "the master key, from {path} or MERIT_MASTER_KEY, is another than this directory's journal was written with; \
         restore that one, or accept this one by --new-master-key: then existing keys and open leases become invalid"
    )]
    Other { path: String },
}

/// The key from which all others are derived. It never leaves the process, and its debug text hides it.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

/// A text that is not a master key. The error does not repeat the text.
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
    /// Draws a key into `path`, which does not exist.
    pub(crate) fn create(path: &Path) -> Result<MasterKey, KeyError> {
        create(path).map_err(|source| KeyError::Io { path: path.display().to_string(), source })?;
        MasterKey::open(path)
    }

    /// Reads the key in `path`.
    pub(crate) fn open(path: &Path) -> Result<MasterKey, KeyError> {
        let text = || path.display().to_string();
        let failed = |source| KeyError::Io { path: text(), source };
        if fs::metadata(path).map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed { path: text() });
        }
        let bytes = fs::read(path).map_err(failed)?;
        let key: [u8; 32] =
            bytes.as_slice().try_into().map_err(|_| KeyError::Malformed { path: text(), bytes: bytes.len() })?;
        // As a file system may leave a file after a power loss.
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(KeyError::NotDrawn { path: text() });
        }
        Ok(MasterKey(key))
    }

    /// Derives the value by which a journal knows its master key again. Never 0.
    pub(crate) fn check(&self) -> u64 {
        let derived = self.derive(&[b"check\0"]);
        derived.first_chunk().map_or(1, |first| u64::from_le_bytes(*first).max(1))
    }

    /// Derives the key that signs the tokens of one session of one provider.
    pub(crate) fn session_key(&self, provider: &str, session: u32) -> [u8; 32] {
        self.derive(&[b"session\0", provider.as_bytes(), b"\0", &session.to_le_bytes()])
    }

    /// Derives the key of lease proofs, which never leaves the process.
    pub(crate) fn lease_key(&self) -> [u8; 32] {
        self.derive(&[b"lease\0"])
    }

    /// Derives the key of orders to load modules, which never leaves the process.
    pub(crate) fn warming_key(&self) -> [u8; 32] {
        self.derive(&[b"warming\0"])
    }

    /// Derives the key by which brokers sign chains of calls.
    pub(crate) fn via_key(&self) -> [u8; 32] {
        self.derive(&[b"via\0"])
    }

    /// Derives the secret of a version of a key.
    pub(crate) fn secret(&self, key: KeyId, version: u32) -> String {
        let id = key.to_string();
        URL_SAFE_NO_PAD.encode(self.derive(&[b"key\0", id.as_bytes(), b"\0", &version.to_le_bytes()]))
    }

    /// Compares `shown` with the secret of a version of a key, in constant time for secrets of the same length.
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
#[path = "../../tests/unit/keys/master.rs"]
mod tests;
