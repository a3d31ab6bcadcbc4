//! A batch of records being collected for one write.
//!
//! Owns the buffer, which is the batch as it will be on disk, so that a commit is one write without
//! a copy. It never writes: [`Journal::append`](super::Journal::append) does.

use crc32c::crc32c;

use super::format::{BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES};

/// The most bytes a batch may have. Far above what a writer collects during one sync; a batch that
/// reaches it is a queue without a bound.
pub const MAX_BATCH_BYTES: usize = 1 << 30;

/// Records with consecutive sequences, in the order in which they were pushed.
#[derive(Debug, Clone)]
pub struct Batch {
    first_sequence: u64,
    records: u32,
    /// Room for the header, then the records with their lengths.
    bytes: Vec<u8>,
}

impl Batch {
    /// An empty batch whose first record will have this sequence.
    #[must_use]
    pub fn starting_at(first_sequence: u64) -> Self {
        Self { first_sequence, records: 0, bytes: vec![0; BATCH_HEADER_BYTES] }
    }

    /// Empties the batch and keeps its memory.
    pub fn restart_at(&mut self, first_sequence: u64) {
        self.first_sequence = first_sequence;
        self.records = 0;
        self.bytes.truncate(BATCH_HEADER_BYTES);
    }

    /// Adds a record, of any length from 0, and returns its sequence.
    ///
    /// # Panics
    /// If the batch grows past [`MAX_BATCH_BYTES`].
    pub fn push(&mut self, record: &[u8]) -> u64 {
        self.push_parts([record])
    }

    /// Adds a record that is made of these parts, as [`Self::push`] does.
    pub fn push_parts<const N: usize>(&mut self, parts: [&[u8]; N]) -> u64 {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(
            length < MAX_BATCH_BYTES.saturating_sub(self.bytes.len() + RECORD_HEADER_BYTES),
            "a batch of {} bytes cannot take a record of {length}: whoever fills it must bound it",
            self.bytes.len(),
        );
        let sequence = self.next_sequence();
        self.bytes.reserve(RECORD_HEADER_BYTES + length);
        self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.records += 1;
        sequence
    }

    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// The sequence that the next pushed record gets.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.records)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The bytes this batch takes in the journal, its header included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The batch as it is on disk, with its checksums.
    pub(super) fn seal(&mut self, identity: u32) -> &[u8] {
        let payload = &self.bytes[BATCH_HEADER_BYTES..];
        let header = BatchHeader {
            payload_bytes: payload.len() as u32,
            records: self.records,
            first_sequence: self.first_sequence,
            payload_checksum: crc32c(payload),
        };
        self.bytes[..BATCH_HEADER_BYTES].copy_from_slice(&header.encode(identity));
        &self.bytes
    }
}
