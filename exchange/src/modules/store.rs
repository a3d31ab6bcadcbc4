//! The modules directory: WebAssembly modules by the SHA-256 of their bytes.
//!
//! A module is checked before it is kept. The store never reads inside one.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use merit_module::ModuleFault;
use sha2::{Digest, Sha256};

/// Bytes of a module that are in memory while its digest is checked.
const PART_BYTES: usize = 256 << 10;

/// A module that was not kept.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    #[error(transparent)]
    Fault(#[from] ModuleFault),
    #[error("could not keep the module in {path}")]
    Io { path: String, source: io::Error },
}

/// The directory of modules.
#[derive(Clone, Debug)]
pub(crate) struct ModuleStore {
    directory: PathBuf,
}

impl ModuleStore {
    pub(crate) fn open(directory: &Path) -> Result<ModuleStore, ModuleError> {
        fs::create_dir_all(directory).map_err(|source| failed(directory, source))?;
        Ok(ModuleStore { directory: directory.to_owned() })
    }

    /// Keeps a module, durably. Returns its digest. A module that is there already stays as it is, unless its file is
    /// damaged.
    pub(crate) fn put(&self, module: &[u8]) -> Result<[u8; 32], ModuleError> {
        merit_module::check(module)?;
        let digest: [u8; 32] = Sha256::digest(module).into();
        if self.open_module(&digest)?.is_none() {
            let path = self.path(&digest);
            self.write(&path, module).map_err(|source| failed(&path, source))?;
        }
        Ok(digest)
    }

    pub(crate) fn has(&self, digest: &[u8; 32]) -> bool {
        self.path(digest).exists()
    }

    /// Opens a module for reading. Returns none if it is not kept, or no longer has its digest.
    pub(crate) fn open_module(&self, digest: &[u8; 32]) -> Result<Option<File>, ModuleError> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => has_digest(file, digest).map_err(|source| failed(&path, source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(&path, source)),
        }
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        self.directory.join(format!("{}.wasm", hex::encode(digest)))
    }

    /// Writes under another name first, so that a crash leaves no half of a module under its digest.
    fn write(&self, path: &Path, module: &[u8]) -> io::Result<()> {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let unfinished = path.with_extension(format!("{}-{number}.new", std::process::id()));
        let mut file = File::create(&unfinished)?;
        file.write_all(module)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(&self.directory)?.sync_all()
    }
}

/// Reads a file through. Returns it, at its beginning, if it has the digest.
fn has_digest(mut file: File, digest: &[u8; 32]) -> io::Result<Option<File>> {
    let mut hasher = Sha256::new();
    let mut part = vec![0; PART_BYTES];
    loop {
        match file.read(&mut part)? {
            0 => break,
            read => hasher.update(&part[..read]),
        }
    }
    file.rewind()?;
    Ok((hasher.finalize().as_slice() == digest).then_some(file))
}

fn failed(path: &Path, source: io::Error) -> ModuleError {
    ModuleError::Io { path: path.display().to_string(), source }
}
