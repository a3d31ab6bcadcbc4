//! The bytes of a segment file, format version 5: names, the segment header, the batch header.
//!
//! All integers are little-endian.
//!
//! ```text
//! segment header, 32 bytes          batch header, 24 bytes         record
//!   0  magic "MERITJNL"               0  payload length  u32         0  length  u32
//!   8  format version    u32          4  records         u32         4  bytes
//!  12  identity          u32          8  first sequence  u64
//!  16  first sequence    u64         16  payload CRC32C  u32
//!  24  segment number    u32         20  CRC32C of identity and bytes 0..20
//!  28  CRC32C of bytes 0..28        24  payload: the records, one after the other
//! ```
//!
//! A batch has at least one record, so its header is never all zeros: zeros are the end. The batch checksum covers the
//! payload's checksum, so a header that passes vouches for its length. It starts from the journal's identity, a random
//! number, so nobody who sends a record can put bytes into it that pass for a batch. It never reads or writes a file.

use crc32c::{crc32c, crc32c_append};

pub(crate) const MAGIC: [u8; 8] = *b"MERITJNL";
/// The only format version that is read or written. No release has written an earlier one.
pub(crate) const FORMAT_VERSION: u32 = 5;
pub(crate) const SEGMENT_HEADER_BYTES: usize = 32;
pub(crate) const BATCH_HEADER_BYTES: usize = 24;
pub(crate) const RECORD_HEADER_BYTES: usize = 4;

/// The first sequence of a new journal, and the number of its first segment.
pub(crate) const FIRST_SEQUENCE: u64 = 1;
pub(crate) const FIRST_SEGMENT: u32 = 1;

/// Suffix of a segment's name while it has no durable header.
pub(crate) const UNFINISHED_SUFFIX: &str = ".new";

pub(crate) fn segment_name(number: u32) -> String {
    format!("journal-{number:010}.segment")
}

/// Parses a segment's name. Returns its number, or none for other files.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("journal-")?.strip_suffix(".segment")?;
    let number = digits.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// Returns true for a segment that a crash left before it had a durable header.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED_SUFFIX).is_some_and(|segment| segment_number(segment).is_some())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: u32,
    pub(crate) first_sequence: u64,
    pub(crate) number: u32,
}

/// The result of decoding the first bytes of a segment.
pub(crate) enum ReadHeader {
    Known(SegmentHeader),
    /// Whole, but of another format version.
    OtherVersion(u32),
    Damaged,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.identity.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.number.to_le_bytes());
        let checksum = crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Every format version keeps the magic, the version and the checksum where they are.
    pub(crate) fn decode(bytes: &[u8]) -> ReadHeader {
        let whole =
            bytes.len() == SEGMENT_HEADER_BYTES && bytes[..8] == MAGIC && crc32c(&bytes[..28]) == read_u32(bytes, 28);
        if !whole {
            return ReadHeader::Damaged;
        }
        match read_u32(bytes, 8) {
            FORMAT_VERSION => ReadHeader::Known(Self {
                identity: read_u32(bytes, 12),
                first_sequence: read_u64(bytes, 16),
                number: read_u32(bytes, 24),
            }),
            other => ReadHeader::OtherVersion(other),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) payload_bytes: u32,
    pub(crate) records: u32,
    pub(crate) first_sequence: u64,
    pub(crate) payload_checksum: u32,
}

impl BatchHeader {
    pub(crate) fn encode(&self, identity: u32) -> [u8; BATCH_HEADER_BYTES] {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.records.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first_sequence.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.payload_checksum.to_le_bytes());
        let checksum = batch_checksum(identity, &bytes[..20]);
        bytes[20..24].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Decodes a header. Returns none if the bytes are too few, are damaged, or belong to another journal.
    pub(crate) fn decode(bytes: &[u8], identity: u32) -> Option<Self> {
        if bytes.len() != BATCH_HEADER_BYTES || batch_checksum(identity, &bytes[..20]) != read_u32(bytes, 20) {
            return None;
        }
        let header = Self {
            payload_bytes: read_u32(bytes, 0),
            records: read_u32(bytes, 4),
            first_sequence: read_u64(bytes, 8),
            payload_checksum: read_u32(bytes, 16),
        };
        let countable = header.first_sequence.checked_add(u64::from(header.records)).is_some();
        (header.records > 0 && countable).then_some(header)
    }

    pub(crate) fn last_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.records) - 1
    }

    /// Reads the first sequence that these bytes would have as a batch header, unverified.
    pub(crate) fn claimed_first_sequence(bytes: &[u8; BATCH_HEADER_BYTES]) -> u64 {
        read_u64(bytes, 8)
    }
}

/// Splits a payload into its records, in order. Returns none if their lengths do not add up to it.
pub(crate) fn split_records(payload: &[u8], records: u32) -> Option<Vec<&[u8]>> {
    let mut split = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (record, after) = after.split_at_checked(length)?;
        split.push(record);
        rest = after;
    }
    (split.len() as u64 == u64::from(records)).then_some(split)
}

fn batch_checksum(identity: u32, fields: &[u8]) -> u32 {
    crc32c_append(crc32c(&identity.to_le_bytes()), fields)
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}
