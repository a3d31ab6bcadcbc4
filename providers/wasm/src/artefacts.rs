//! The directory of compiled modules, by digest, machine and engine: a restart compiles nothing anew.
//!
//! Whoever can write there can run code as this process, so it must be its user's own. Never reads inside an artefact.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Maximum bytes of the directory; beyond it the files that were not used for longest are removed.
const KEPT_MAX_BYTES: u64 = 2 << 30;
const CHECKSUM_BYTES: usize = 32;

/// The directory. None keeps nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Artefacts {
    directory: Option<PathBuf>,
    /// The engine and machine that artefacts are for.
    suffix: String,
}

/// Makes a directory for its user alone. Refuses one that others can write to, or that is another user's.
pub fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let about = fs::metadata(directory)?;
    if about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o022 != 0 {
        let message =
            format!("{} is not this user's alone; set its owner and mode, or name another", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

/// Returns whether a file is named as an artefact, or as an unfinished one: a digest, and a point.
fn is_artefact(name: &OsStr) -> bool {
    let digest = name.to_str().and_then(|name| name.split_once('.')).map(|(digest, _)| digest);
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Artefacts {
    /// Opens a directory, which it makes for its user alone. `engine` differs between engines that cannot use each
    /// other's artefacts.
    pub(crate) fn open(directory: Option<&Path>, engine: u64) -> io::Result<Artefacts> {
        directory.map_or(Ok(()), make_private)?;
        let suffix = format!("{}-{engine:016x}", std::env::consts::ARCH);
        Ok(Artefacts { directory: directory.map(Path::to_owned), suffix })
    }

    fn path(&self, digest: &Digest) -> Option<PathBuf> {
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(self.directory.as_ref()?.join(format!("{digest}.{}", self.suffix)))
    }

    /// Reads an artefact, and marks it as used. Removes one that is damaged.
    pub(crate) fn read(&self, digest: &Digest) -> Option<Vec<u8>> {
        let path = self.path(digest)?;
        let mut file = OpenOptions::new().read(true).write(true).open(&path).ok()?;
        let (mut checksum, mut artefact) = ([0; CHECKSUM_BYTES], Vec::new());
        let read = file.read_exact(&mut checksum).and_then(|()| file.read_to_end(&mut artefact));
        if read.is_err() || Sha256::digest(&artefact).as_slice() != checksum {
            self.remove(digest);
            return None;
        }
        file.set_modified(SystemTime::now()).ok(); // only the order of removal needs it
        Some(artefact)
    }

    /// Keeps an artefact. A failure costs the next start another compilation, and nothing else.
    pub(crate) fn write(&self, digest: &Digest, artefact: &[u8]) -> io::Result<()> {
        let Some(path) = self.path(digest) else { return Ok(()) };
        // Under another name first: a crash leaves no half under its digest.
        let unfinished = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&Sha256::digest(artefact))?;
        file.write_all(artefact)?;
        drop(file);
        fs::rename(&unfinished, &path)?;
        self.remove_beyond(KEPT_MAX_BYTES)
    }

    pub(crate) fn remove(&self, digest: &Digest) {
        if let Some(path) = self.path(digest) {
            fs::remove_file(path).ok(); // it may be gone already
        }
    }

    /// Removes the artefacts that were not used for longest until the rest has at most so many bytes. The directory may
    /// have other files, too.
    fn remove_beyond(&self, most: u64) -> io::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_file() && is_artefact(&entry.file_name()) {
                files.push((about.modified()?, about.len(), entry.path()));
            }
        }
        files.sort_unstable();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, length, path) in files {
            if bytes <= most {
                break;
            }
            fs::remove_file(path)?;
            bytes -= length;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "../tests/unit/artefacts.rs"]
mod tests;
