//! The modules directory: WebAssembly modules by the SHA-256 of their bytes.
//!
//! A module is checked before it is kept. The store never reads inside one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use merit_module::ModuleFault;
use sha2::{Digest, Sha256};

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

    /// Keeps a module, durably. Returns its digest. A module that is there already stays as it is.
    pub(crate) fn put(&self, module: &[u8]) -> Result<[u8; 32], ModuleError> {
        merit_module::check(module)?;
        let digest: [u8; 32] = Sha256::digest(module).into();
        let path = self.path(&digest);
        if !path.exists() {
            self.write(&path, module).map_err(|source| failed(&path, source))?;
        }
        Ok(digest)
    }

    pub(crate) fn has(&self, digest: &[u8; 32]) -> bool {
        self.path(digest).exists()
    }

    /// Reads a module. Returns none if it is not kept, or no longer has its digest.
    pub(crate) fn get(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, ModuleError> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) => Ok((Sha256::digest(&bytes).as_slice() == digest).then_some(bytes)),
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

fn failed(path: &Path, source: io::Error) -> ModuleError {
    ModuleError::Io { path: path.display().to_string(), source }
}
