//! A buffered view of one file, read forwards.
//!
//! Owns the read buffer. It never interprets a byte beyond telling zeros from the rest.

use std::io;

use crate::storage::StorageFile;

/// Read size in bytes: a journal of small batches does not cost a system call each.
const READ_BYTES: usize = 1 << 20;

/// The zeros that a chunk of the file is compared with.
const ZEROS: [u8; 4096] = [0; 4096];

pub(crate) struct Window<F> {
    file: F,
    /// The file's length when it was opened; later growth is not seen.
    length: u64,
    start: u64,
    bytes: Vec<u8>,
    read_bytes: usize,
}

impl<F: StorageFile> Window<F> {
    pub(crate) fn new(file: F) -> io::Result<Self> {
        Ok(Self { length: file.length()?, file, start: 0, bytes: Vec::new(), read_bytes: READ_BYTES })
    }

    /// Makes a view that reads no more at once than it is asked for.
    pub(crate) fn small(file: F) -> io::Result<Self> {
        Ok(Self { read_bytes: 0, ..Self::new(file)? })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads at `position`. Returns as many bytes as asked, or those up to the end of the file.
    pub(crate) fn at(&mut self, position: u64, bytes: usize) -> io::Result<&[u8]> {
        let rest = self.length.saturating_sub(position);
        let wanted = usize::try_from(rest).unwrap_or(usize::MAX).min(bytes);
        let held = position
            .checked_sub(self.start)
            .and_then(|offset| usize::try_from(offset).ok())
            .filter(|offset| offset.saturating_add(wanted) <= self.bytes.len());
        let offset = match held {
            Some(offset) => offset,
            None => {
                self.fill(position, wanted)?;
                0
            }
        };
        Ok(&self.bytes[offset..offset + wanted])
    }

    /// Drops the buffer: the next bytes are read anew from the file.
    pub(crate) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// Returns the position after the last byte at or after `from` that is not zero, or `from` itself.
    pub(crate) fn used_until(&mut self, from: u64) -> io::Result<u64> {
        let mut used = from;
        let mut position = from;
        loop {
            let chunk = self.at(position, ZEROS.len())?;
            if chunk.is_empty() {
                return Ok(used);
            }
            if *chunk != ZEROS[..chunk.len()] {
                let last = chunk.iter().rposition(|byte| *byte != 0);
                used = position + last.map_or(0, |index| index as u64 + 1);
            }
            position += chunk.len() as u64;
        }
    }

    fn fill(&mut self, position: u64, wanted: usize) -> io::Result<()> {
        let rest = usize::try_from(self.length.saturating_sub(position)).unwrap_or(usize::MAX);
        self.bytes.clear();
        self.bytes.resize(wanted.max(self.read_bytes).min(rest), 0);
        self.start = position;
        let mut read = 0;
        while read < self.bytes.len() {
            match self.file.read_at(position + read as u64, &mut self.bytes[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        self.bytes.truncate(read);
        if read < wanted {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was read"));
        }
        Ok(())
    }
}
