//! The master key of a data directory, and the keys derived from it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

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

/// The key that all others come from; it never leaves the process.
#[derive(Clone)]
pub(crate) struct MasterKey([u8; 32]);

impl MasterKey {
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
