//! Reading a snapshot: every byte is checked before it is used, and the state's digest after.
//!
//! Owns the words for the faults of a snapshot. It never changes a file, and never chooses another one for a damaged
//! one.

use std::fmt;
use std::io::{self, Read};

use merit_engine::Engine;
use serde::Deserialize;

use super::format::{
    CHECKSUM_BYTES, CHUNK_BYTES, FORMAT_VERSION, HEADER_BYTES, Header, ReadHeader, chunk_checksum, snapshot_name,
    snapshot_sequence,
};
use merit_journal::storage::{Storage, StorageFile};

/// Read size in chunks.
const READ_CHUNKS: usize = 256;

/// A whole snapshot: its state has the digest that it was written with.
#[derive(Debug)]
pub struct Loaded {
    pub header: Header,
    pub engine: Engine,
}

/// The place at which a snapshot stops making sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub file: String,
    /// The offset of the damaged chunk or header, in bytes from the start of the file.
    pub position: u64,
    pub fault: Fault,
}

/// The fault of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the snapshot has no valid header")]
    Header,
    #[error("the snapshot says that it is of sequence {found}")]
    Misnamed { found: u64 },
    #[error("the snapshot should be {expected} bytes long")]
    Length { expected: u64 },
    #[error("a chunk fails its checksum")]
    Chunk,
    #[error("the state cannot be read: {0}")]
    Content(String),
    #[error("the state in it has another digest than it says")]
    Digest,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("could not read the snapshot {path}")]
    Failed { path: String, source: io::Error },
    #[error("{0}")]
    Damaged(Damage),
    #[error("{path} has format {found}, and this merit reads format {FORMAT_VERSION} alone; {}", way_out(*found))]
    OtherVersion { path: String, found: u32 },
}

fn way_out(found: u32) -> &'static str {
    match found < FORMAT_VERSION {
        true => {
            "its directory is from before the first release: move it away to begin with an empty one, or start the \
                 build that wrote it"
        }
        false => "start the merit release that wrote it",
    }
}

impl LoadError {
    /// Returns true if the file is not there, or no longer.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Failed { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, byte {}: {}", self.file, self.position, self.fault)
    }
}

#[derive(Deserialize)]
struct SavedBody {
    engine: Engine,
}

/// Lists the sequences of all snapshots, in order.
pub fn list<S: Storage>(storage: &S) -> Result<Vec<u64>, LoadError> {
    let failed = |source| LoadError::Failed { path: storage.to_string(), source };
    let names = storage.list().map_err(failed)?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| snapshot_sequence(name)).collect();
    sequences.sort_unstable();
    Ok(sequences)
}

/// Reads the header of the snapshot of this sequence. Nothing else is checked.
pub fn header<S: Storage>(storage: &S, sequence: u64) -> Result<Header, LoadError> {
    open(storage, sequence).map(|(_, header)| header)
}

/// Loads the state in the snapshot of this sequence, and checks every byte of the file.
pub fn load<S: Storage>(storage: &S, sequence: u64) -> Result<Loaded, LoadError> {
    let (file, header) = open(storage, sequence)?;
    decode(&file, header, &storage.to_string())
}

/// Reads the state. Not generic, so that a state's decoding is compiled once, here.
fn decode(file: &dyn StorageFile, header: Header, place: &str) -> Result<Loaded, LoadError> {
    let name = snapshot_name(header.sequence);
    let damaged = |position, fault| LoadError::Damaged(Damage { file: name.clone(), position, fault });

    let mut body = ChunkReader::new(file, header);
    let decoded: Result<SavedBody, _> = rmp_serde::from_read(&mut body);
    let engine = match (decoded, body.failure.take()) {
        (_, Some(Failure::Checksum)) => return Err(damaged(body.position, Fault::Chunk)),
        (_, Some(Failure::Io(source))) => {
            return Err(LoadError::Failed { path: format!("{place}/{name}"), source });
        }
        (Err(error), None) => return Err(damaged(body.position, Fault::Content(error.to_string()))),
        (Ok(_), None) if body.left > 0 || !body.chunk().is_empty() => {
            return Err(damaged(body.position, Fault::Content("there is more than the state".to_owned())));
        }
        (Ok(body), None) => body.engine,
    };
    let found = (engine.sequence(), engine.run(), engine.digest());
    if found != (header.sequence, header.run, header.digest) {
        return Err(damaged(0, Fault::Digest));
    }
    Ok(Loaded { header, engine })
}

fn open<S: Storage>(storage: &S, sequence: u64) -> Result<(S::File, Header), LoadError> {
    let name = snapshot_name(sequence);
    let path = format!("{storage}/{name}");
    let failed = |source| LoadError::Failed { path: path.clone(), source };
    let damaged = |position, fault| LoadError::Damaged(Damage { file: name.clone(), position, fault });

    let file = storage.open_to_read(&name).map_err(failed)?;
    let length = file.length().map_err(failed)?;
    if length < HEADER_BYTES as u64 {
        return Err(damaged(0, Fault::Header));
    }
    let mut bytes = [0; HEADER_BYTES];
    read_exactly(&file, 0, &mut bytes).map_err(failed)?;
    let header = match Header::decode(&bytes) {
        ReadHeader::Known(header) => header,
        ReadHeader::OtherVersion(found) => return Err(LoadError::OtherVersion { path: path.clone(), found }),
        ReadHeader::Damaged => return Err(damaged(0, Fault::Header)),
    };
    if header.sequence != sequence {
        return Err(damaged(0, Fault::Misnamed { found: header.sequence }));
    }
    match header.file_bytes() {
        Some(expected) if expected == length => Ok((file, header)),
        Some(expected) => Err(damaged(length.min(expected), Fault::Length { expected })),
        None => Err(damaged(0, Fault::Header)),
    }
}

fn read_exactly(file: &dyn StorageFile, position: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(position + read as u64, &mut buffer[read..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    Ok(())
}

enum Failure {
    Checksum,
    Io(io::Error),
}

/// A reader of the body, chunk by chunk, each only after its checksum has passed.
struct ChunkReader<'a> {
    file: &'a dyn StorageFile,
    header: Header,
    /// Whole chunks with their checksums, as they are in the file.
    bytes: Vec<u8>,
    /// The beginning of the present chunk's unread part in `bytes`, and its end.
    next: usize,
    end: usize,
    /// The index of the next chunk, and the offset of the present one in the file.
    index: u64,
    position: u64,
    /// The bytes of the body that are still to be read from the file.
    left: u64,
    failure: Option<Failure>,
}

impl<'a> ChunkReader<'a> {
    fn new(file: &'a dyn StorageFile, header: Header) -> Self {
        let left = header.body_bytes;
        let position = HEADER_BYTES as u64;
        Self { file, header, bytes: Vec::new(), next: 0, end: 0, index: 0, position, left, failure: None }
    }

    /// Returns the unread part of the present chunk.
    fn chunk(&self) -> &[u8] {
        &self.bytes[self.next..self.end]
    }

    /// Goes on to the next chunk.
    fn advance(&mut self) -> Result<(), Failure> {
        let sealed = CHUNK_BYTES + CHECKSUM_BYTES;
        let begins_at = (self.index as usize % READ_CHUNKS) * sealed;
        self.position = HEADER_BYTES as u64 + self.index * sealed as u64;
        if begins_at == 0 {
            self.fill().map_err(Failure::Io)?;
        }
        let length = self.left.min(CHUNK_BYTES as u64) as usize;
        let ends_at = begins_at + length;
        let chunk = &self.bytes[begins_at..ends_at];
        let checksum = chunk_checksum(self.header.identity, self.header.sequence, self.index, chunk);
        if self.bytes[ends_at..ends_at + CHECKSUM_BYTES] != checksum.to_le_bytes() {
            return Err(Failure::Checksum);
        }
        (self.next, self.end) = (begins_at, ends_at);
        self.left -= length as u64;
        self.index += 1;
        Ok(())
    }

    /// Reads the chunks that follow.
    fn fill(&mut self) -> io::Result<()> {
        let chunks = self.left.div_ceil(CHUNK_BYTES as u64).min(READ_CHUNKS as u64);
        let payload = self.left.min(chunks * CHUNK_BYTES as u64);
        self.bytes.resize(payload as usize + chunks as usize * CHECKSUM_BYTES, 0);
        read_exactly(self.file, self.position, &mut self.bytes)
    }
}

impl Read for ChunkReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.next == self.end && self.left > 0 {
            if self.failure.is_none() {
                self.failure = self.advance().err();
            }
            if self.failure.is_some() {
                return Err(io::Error::other("the snapshot's next chunk is not there"));
            }
        }
        let taken = buffer.len().min(self.end - self.next);
        buffer[..taken].copy_from_slice(&self.bytes[self.next..self.next + taken]);
        self.next += taken;
        Ok(taken)
    }
}
