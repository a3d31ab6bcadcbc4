//! The run file of a data directory: the newest run, so that its number never comes again; the sequence that was
//! durable then; and the machine's clocks, so that a restart does not hide that one was set.
//!
//! It is replaced as a whole, never changed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

const FILE: &str = "run.json";
const NEW_FILE: &str = "run.json.new";
/// The kernel's random number of this start of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A run file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    #[error("could not use {path}")]
    Io { path: String, source: io::Error },
    #[error(
        "{path} cannot be read ({source}); restore it from a backup, or remove it: then only the journal says which \
         run was the last, and a run's number may come again"
    )]
    Malformed { path: String, source: serde_json::Error },
}

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFile {
    pub(crate) run: u32,
    /// A sequence that was durable.
    pub(crate) sequence: u64,
    /// Empty where the system does not tell.
    #[serde(default)]
    boot: String,
    /// Market time minus the time since the machine's start, in microseconds.
    #[serde(default)]
    clock_offset_us: i128,
}

impl RunFile {
    pub(crate) fn new(run: u32, sequence: u64, clock_offset_us: i128) -> RunFile {
        RunFile { run, sequence, boot: boot(), clock_offset_us }
    }

    /// Reads the file of a directory; none if it has none.
    pub(crate) fn read(data_dir: &Path) -> Result<Option<RunFile>, RunFileError> {
        let path = data_dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(&path, source)),
        };
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|source| RunFileError::Malformed { path: path.display().to_string(), source })
    }

    /// Writes the file, durably.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<(), RunFileError> {
        let (path, new) = (data_dir.join(FILE), data_dir.join(NEW_FILE));
        let text = serde_json::to_vec(self).map_err(io::Error::from);
        let written = text.and_then(|text| {
            let mut file = File::create(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(data_dir)?.sync_all()
        });
        written.map_err(|source| failed(&path, source))
    }

    /// Returns the offset of the market's time, if the machine was not started since.
    pub(crate) fn clock_offset(&self) -> Option<i128> {
        (!self.boot.is_empty() && self.boot == boot()).then_some(self.clock_offset_us)
    }
}

fn boot() -> String {
    fs::read_to_string(BOOT_ID).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn failed(path: &Path, source: io::Error) -> RunFileError {
    RunFileError::Io { path: path.display().to_string(), source }
}
