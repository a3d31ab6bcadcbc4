//! The segment being written: created, cut, rewritten, and extended batch by batch.
//!
//! Owns every write to a segment file, and the error that names it. It never decides what to write where:
//! [`open`](crate::open) and [`append`](crate::append) do.

use std::io;

use crate::damage::Damage;
use crate::format::{SEGMENT_HEADER_BYTES, SegmentHeader, UNFINISHED_SUFFIX, segment_name};
use crate::storage::{Storage, StorageFile};

/// Write size in bytes when a tail is cut or rewritten.
const CHUNK_BYTES: u64 = 1 << 20;

pub(crate) struct Segment<F> {
    file: F,
    pub(crate) number: u32,
    /// The file's path in messages.
    path: String,
    /// The position of the next batch.
    position: u64,
    /// The length of the file in bytes.
    capacity_bytes: u64,
}

/// A write, sync or change of names that failed. It is never repeated on the same file: after a failed sync the kernel
/// may have dropped the bytes that it could not write.
#[derive(Debug, thiserror::Error)]
#[error("could not {doing} {path}")]
pub struct WriteError {
    pub doing: &'static str,
    pub path: String,
    pub source: io::Error,
}

/// The file of the next segment, with its room reserved and without a header: it has no name of a segment yet. Neither
/// a full disk nor a want of file descriptors keeps it from becoming a segment.
pub(crate) struct Spare<F> {
    file: F,
    number: u32,
    /// The file's path in messages.
    path: String,
    capacity_bytes: u64,
}

impl<F: StorageFile> Spare<F> {
    /// Reserves the room of a segment. Replaces one that was left unfinished.
    pub(crate) fn reserve<S: Storage<File = F>>(
        storage: &S,
        number: u32,
        capacity_bytes: u64,
    ) -> Result<Self, WriteError> {
        let name = unfinished_name(number);
        let path = path_of(storage, &name);
        let created = match storage.create(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                storage.remove(&name).and_then(|()| storage.create(&name))
            }
            created => created,
        };
        let file = created.map_err(failed("create", &path))?;
        file.allocate(capacity_bytes).map_err(failed("reserve room for", &path))?;
        Ok(Self { file, number, path, capacity_bytes })
    }

    /// Gives back the room of a reserve that failed in the middle. The next attempt removes it if this fails, too.
    pub(crate) fn give_back<S: Storage<File = F>>(storage: &S, number: u32) {
        storage.remove(&unfinished_name(number)).ok();
    }

    /// Makes it the segment of a header, with room for at least `capacity_bytes`.
    pub(crate) fn into_segment<S: Storage<File = F>>(
        self,
        storage: &S,
        header: SegmentHeader,
        capacity_bytes: u64,
    ) -> Result<Segment<F>, WriteError> {
        let Self { file, number, path, capacity_bytes: reserved } = self;
        if capacity_bytes > reserved {
            file.allocate(capacity_bytes).map_err(failed("reserve room for", &path))?;
        }
        let capacity_bytes = capacity_bytes.max(reserved);
        file.write_at(0, &header.encode()).map_err(failed("write the header of", &path))?;
        file.sync().map_err(failed("sync", &path))?;
        let name = segment_name(number);
        storage.rename(&unfinished_name(number), &name).map_err(failed("rename", &path))?;
        sync_names(storage)?;
        let path = path_of(storage, &name);
        Ok(Segment { file, number, path, position: SEGMENT_HEADER_BYTES as u64, capacity_bytes })
    }
}

fn unfinished_name(number: u32) -> String {
    format!("{}{UNFINISHED_SUFFIX}", segment_name(number))
}

impl<F: StorageFile> Segment<F> {
    /// Creates a segment, durable with its header before it appears under its name.
    ///
    /// A file that has that name already is replaced.
    pub(crate) fn create<S: Storage<File = F>>(
        storage: &S,
        header: SegmentHeader,
        capacity_bytes: u64,
    ) -> Result<Self, WriteError> {
        Spare::reserve(storage, header.number, capacity_bytes)?.into_segment(storage, header, capacity_bytes)
    }

    /// Opens an existing segment whose valid part ends at `position`, with room for at least `capacity_bytes` in all.
    /// Nothing is durable before [`Self::sync`].
    pub(crate) fn open<S: Storage<File = F>>(
        storage: &S,
        number: u32,
        position: u64,
        capacity_bytes: u64,
    ) -> Result<Self, WriteError> {
        let name = segment_name(number);
        let path = path_of(storage, &name);
        let file = storage.open_to_write(&name).map_err(failed("open", &path))?;
        let length = file.length().map_err(failed("open", &path))?;
        let capacity_bytes = capacity_bytes.max(length);
        file.allocate(capacity_bytes).map_err(failed("reserve room for", &path))?;
        Ok(Self { file, number, path, position, capacity_bytes })
    }

    /// Writes zeros over a damaged tail.
    pub(crate) fn cut(&self, damage: &Damage) -> Result<(), WriteError> {
        self.each_chunk(damage.position, damage.position + damage.bytes, |_, _| Ok(()))
            .map_err(failed("cut the damaged tail of", &self.path))
    }

    /// Writes the bytes from `from` to the end once more as they are.
    ///
    /// They may have been read from the kernel's memory after the process that wrote them saw its sync fail, in which
    /// case another sync alone would succeed without writing them.
    pub(crate) fn rewrite(&self, from: u64) -> Result<(), WriteError> {
        self.each_chunk(from, self.position, |position, chunk| {
            let mut read = 0;
            while read < chunk.len() {
                match self.file.read_at(position + read as u64, &mut chunk[read..])? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    more => read += more,
                }
            }
            Ok(())
        })
        .map_err(failed("rewrite the last batch of", &self.path))
    }

    /// Writes the range anew in chunks, each zero until `fill` changes it.
    fn each_chunk(&self, from: u64, to: u64, fill: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> io::Result<()> {
        let mut position = from;
        while position < to {
            let mut chunk = vec![0; (to - position).min(CHUNK_BYTES) as usize];
            fill(position, &mut chunk)?;
            self.file.write_at(position, &chunk)?;
            position += chunk.len() as u64;
        }
        Ok(())
    }

    pub(crate) fn has_room_for(&self, bytes: u64) -> bool {
        self.position + bytes <= self.capacity_bytes
    }

    /// Writes a sealed batch after the last one, and waits until it is durable.
    pub(crate) fn extend(&mut self, sealed: &[u8]) -> Result<(), WriteError> {
        self.file.write_at(self.position, sealed).map_err(failed("write a batch to", &self.path))?;
        self.sync()?;
        self.position += sealed.len() as u64;
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<(), WriteError> {
        self.file.sync().map_err(failed("sync", &self.path))
    }
}

pub(crate) fn sync_names<S: Storage>(storage: &S) -> Result<(), WriteError> {
    storage.sync_names().map_err(failed("sync the directory", &storage.to_string()))
}

pub(crate) fn path_of<S: Storage>(storage: &S, name: &str) -> String {
    format!("{storage}/{name}")
}

pub(crate) fn failed(doing: &'static str, path: &str) -> impl FnOnce(io::Error) -> WriteError {
    move |source| WriteError { doing, path: path.to_owned(), source }
}
