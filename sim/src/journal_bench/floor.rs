//! The floor under any journal: a preallocated file, with one write and one fdatasync for each batch. Never encodes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use merit_journal::storage::StorageFile;

use super::JournalBenchError;

/// Length of the file in bytes, that of a journal's segment; at its end it is written again from the beginning.
const FILE_BYTES: u64 = 64 << 20;

pub(super) struct Floor {
    pub(super) syncs: u64,
    pub(super) seconds: f64,
}

/// Writes batches of `batch_bytes` for `time`.
pub(super) fn measure(path: &Path, batch_bytes: u64, time: Duration) -> Result<Floor, JournalBenchError> {
    let failed = |doing| {
        let path = path.to_owned();
        move |source| JournalBenchError::Files { doing, path, source }
    };
    let file = File::create_new(path).map_err(failed("create"))?;
    let length = FILE_BYTES.max(batch_bytes);
    StorageFile::allocate(&file, length).map_err(failed("reserve room for"))?;
    file.sync_all().map_err(failed("sync"))?;
    let batch: Vec<u8> = (0..batch_bytes).map(|byte| byte as u8).collect();

    let started = Instant::now();
    let (mut syncs, mut position) = (0, 0);
    while started.elapsed() < time {
        if position + batch_bytes > length {
            position = 0;
        }
        file.write_all_at(&batch, position).map_err(failed("write"))?;
        file.sync_data().map_err(failed("sync"))?;
        position += batch_bytes;
        syncs += 1;
    }
    Ok(Floor { syncs, seconds: started.elapsed().as_secs_f64() })
}
