//! A batch of records being collected for one write.
//!
//! Owns the buffer, which is the batch as it will be on disk, so that a commit is one write without a copy. It never
//! writes: [`Journal::append`](crate::Journal::append) does.

use crc32c::crc32c;

use crate::damage::Fault;
use crate::format::{BATCH_HEADER_BYTES, BatchHeader, RECORD_HEADER_BYTES, split_records};

/// Size limit of a batch, 1 GiB: far above the bytes that a writer collects during one sync. A batch that reaches it is
/// a queue without a bound.
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
    /// Makes an empty batch whose first record will have this sequence.
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

    /// Adds a record that consists of these parts, as [`Self::push`] does.
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

    /// Returns the sequence of the next record.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.records)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Returns the size of this batch in the journal in bytes, its header included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Completes the header. Returns the batch as it is on disk, with its checksums.
    pub(crate) fn seal(&mut self, identity: u32) -> &[u8] {
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

/// Reads a sealed batch of the journal with this identity. Returns its records, and refuses bytes that are not exactly
/// one valid batch.
pub fn read_batch(bytes: &[u8], identity: u32) -> Result<Vec<&[u8]>, Fault> {
    let (header, payload) = bytes.split_at_checked(BATCH_HEADER_BYTES).ok_or(Fault::BatchHeader)?;
    let header = BatchHeader::decode(header, identity).ok_or(Fault::BatchHeader)?;
    let length = header.payload_bytes as usize;
    let (payload, rest) =
        payload.split_at_checked(length).ok_or(Fault::BatchCutShort { first_sequence: header.first_sequence })?;
    if !rest.is_empty() {
        return Err(Fault::BytesAfterEnd);
    }
    records_in(&header, payload)
}

/// Checks a payload against its header. Returns its records in order.
pub(crate) fn records_in<'a>(header: &BatchHeader, payload: &'a [u8]) -> Result<Vec<&'a [u8]>, Fault> {
    let first_sequence = header.first_sequence;
    if crc32c(payload) != header.payload_checksum {
        return Err(Fault::BatchPayload { first_sequence });
    }
    split_records(payload, header.records).ok_or(Fault::RecordLengths { first_sequence })
}
