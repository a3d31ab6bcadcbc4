//! Writing a snapshot: under another name, durable, then under its own.
//!
//! Owns the order of writes: a file under a snapshot's name was whole and durable when it got it. It never decides when
//! to write.

use std::io::{self, Write};

use merit_engine::Engine;
use serde::Serialize;

use super::format::{
    CHUNK_BYTES, HEADER_BYTES, Header, UNFINISHED_SUFFIX, chunk_checksum, is_unfinished, snapshot_name,
};
use merit_journal::storage::{Storage, StorageFile};

/// Write size in bytes, 1 MiB.
const WRITE_BYTES: usize = 1 << 20;

/// A snapshot that could not be written. Earlier ones are as they were.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("could not {doing} {path}")]
    Failed { doing: &'static str, path: String, source: io::Error },
    #[error("could not write the state to {path}")]
    Encode { path: String, source: rmp_serde::encode::Error },
}

/// The body of a snapshot: a struct, so that a later version may add fields beside the engine.
#[derive(Serialize)]
struct WrittenBody<'a> {
    engine: &'a Engine,
}

/// Writes the state as a snapshot of the journal with this identity.
pub fn write<S: Storage>(storage: &S, identity: u32, engine: &Engine) -> Result<Header, WriteError> {
    remove_unfinished(storage)?;
    let name = snapshot_name(engine.sequence());
    let unfinished = format!("{name}{UNFINISHED_SUFFIX}");
    let path = format!("{storage}/{unfinished}");
    let failed = |doing| failed(doing, &path);

    let file = storage.create(&unfinished).map_err(failed("create"))?;
    let body_bytes = encode(&file, identity, engine, &path)?;
    let header = Header {
        identity,
        sequence: engine.sequence(),
        run: engine.run(),
        rules: engine.rules(),
        digest: engine.digest(),
        body_bytes,
    };
    file.write_at(0, &header.encode()).map_err(failed("write the header of"))?;
    file.sync().map_err(failed("sync"))?;
    storage.rename(&unfinished, &name).map_err(failed("rename"))?;
    storage.sync_names().map_err(failed("sync the directory of"))?;
    Ok(header)
}

/// Writes the state behind the header's place. Returns the length of the body in bytes. Not generic, so that a state's
/// encoding is compiled once, here.
fn encode(file: &dyn StorageFile, identity: u32, engine: &Engine, path: &str) -> Result<u64, WriteError> {
    let mut body = ChunkWriter::new(file, identity, engine.sequence());
    rmp_serde::encode::write_named(&mut body, &WrittenBody { engine })
        .map_err(|source| WriteError::Encode { path: path.to_owned(), source })?;
    body.finish().map_err(failed("write", path))
}

/// Removes unfinished snapshots of a crash or failure, which never got their names.
fn remove_unfinished<S: Storage>(storage: &S) -> Result<(), WriteError> {
    let names = storage.list().map_err(failed("list", &storage.to_string()))?;
    for name in names.iter().filter(|name| is_unfinished(name)) {
        storage.remove(name).map_err(failed("remove", &format!("{storage}/{name}")))?;
    }
    Ok(())
}

pub(super) fn failed(doing: &'static str, path: &str) -> impl FnOnce(io::Error) -> WriteError {
    move |source| WriteError::Failed { doing, path: path.to_owned(), source }
}

/// A writer of the body that puts a checksum behind each chunk, and leaves room for the header.
struct ChunkWriter<'a> {
    file: &'a dyn StorageFile,
    identity: u32,
    sequence: u64,
    /// The present chunk, and its index.
    chunk: Vec<u8>,
    index: u64,
    /// Whole chunks that wait to be written, and their offset.
    waiting: Vec<u8>,
    position: u64,
    body_bytes: u64,
}

impl<'a> ChunkWriter<'a> {
    fn new(file: &'a dyn StorageFile, identity: u32, sequence: u64) -> Self {
        Self {
            file,
            identity,
            sequence,
            chunk: Vec::with_capacity(CHUNK_BYTES),
            index: 0,
            waiting: Vec::new(),
            position: HEADER_BYTES as u64,
            body_bytes: 0,
        }
    }

    fn seal(&mut self) {
        let checksum = chunk_checksum(self.identity, self.sequence, self.index, &self.chunk);
        self.waiting.append(&mut self.chunk);
        self.waiting.extend_from_slice(&checksum.to_le_bytes());
        self.index += 1;
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        self.file.write_at(self.position, &self.waiting)?;
        self.position += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Writes the rest. Returns the length of the body.
    fn finish(mut self) -> io::Result<u64> {
        if !self.chunk.is_empty() {
            self.seal();
        }
        self.write_waiting()?;
        Ok(self.body_bytes)
    }
}

impl Write for ChunkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES - self.chunk.len();
        let taken = bytes.len().min(room);
        self.chunk.extend_from_slice(&bytes[..taken]);
        self.body_bytes += taken as u64;
        if self.chunk.len() == CHUNK_BYTES {
            self.seal();
            if self.waiting.len() >= WRITE_BYTES {
                self.write_waiting()?;
            }
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
