//! The bytes of a snapshot file, format version 5: names, the header, and the chunks with their checksums.
//!
//! All integers are little-endian.
//!
//! ```text
//! header, 64 bytes                  body, in chunks
//!   0  magic "MERITSNP"               4096 bytes, the last one less
//!   8  format version    u32          CRC32C of the file's identity, its sequence, the chunk's index, and those bytes
//!  12  journal identity  u32
//!  16  sequence          u64
//!  24  run               u32
//!  28  rules             u32
//!  32  digest            u128
//!  48  body length       u64
//!  56  chunk length      u32
//!  60  CRC32C of bytes 0..60
//! ```
//!
//! The body is the engine in MessagePack with named fields, its maps in order: equal states give equal bytes, live,
//! replayed or loaded. (Offers keep their slots: states alike in meaning, with offers in other slots, have one digest
//! and other bytes.) Every byte of a file is under a checksum, and its length follows from its header. It never reads
//! or writes a file.

use crc32c::{crc32c, crc32c_append};

pub(super) const MAGIC: [u8; 8] = *b"MERITSNP";
/// The only format version that is read or written. No release has written an earlier one.
pub(super) const FORMAT_VERSION: u32 = 5;
pub(super) const HEADER_BYTES: usize = 64;
pub(super) const CHECKSUM_BYTES: usize = 4;
/// Chunk length in bytes: damage is located to within a few kilobytes, and a thousandth of the file is checksums.
pub(super) const CHUNK_BYTES: usize = 4096;

/// Suffix of a snapshot's name while it is not durable.
pub(super) const UNFINISHED_SUFFIX: &str = ".new";
/// Suffix of a damaged snapshot's name once another has been used in its place.
pub(super) const DAMAGED_SUFFIX: &str = ".damaged";
/// Suffix of a snapshot after the end of its journal.
pub(super) const LOST_SUFFIX: &str = ".lost";

pub(super) fn snapshot_name(sequence: u64) -> String {
    format!("snapshot-{sequence:020}.merit")
}

/// Parses a snapshot's name. Returns its sequence, or none for other files.
pub(super) fn snapshot_sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(".merit")?;
    let sequence = digits.parse().ok()?;
    (snapshot_name(sequence) == name).then_some(sequence)
}

pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(UNFINISHED_SUFFIX).is_some_and(|snapshot| snapshot_sequence(snapshot).is_some())
}

/// The header of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The identity of its journal, a random number.
    pub identity: u32,
    /// The sequence of its last command.
    pub sequence: u64,
    pub run: u32,
    pub rules: u32,
    pub digest: u128,
    pub body_bytes: u64,
}

/// The result of decoding the first bytes of a snapshot.
pub(super) enum ReadHeader {
    Known(Header),
    /// Whole, but of another format version.
    OtherVersion(u32),
    Damaged,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.identity.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.run.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.rules.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.digest.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[56..60].copy_from_slice(&(CHUNK_BYTES as u32).to_le_bytes());
        let checksum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Every format version keeps the magic, the version and the checksum where they are.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> ReadHeader {
        if bytes[..8] != MAGIC || crc32c(&bytes[..60]).to_le_bytes() != bytes[60..] {
            return ReadHeader::Damaged;
        }
        let version = u32::from_le_bytes(field(bytes, 8));
        if version != FORMAT_VERSION || u32::from_le_bytes(field(bytes, 56)) != CHUNK_BYTES as u32 {
            return ReadHeader::OtherVersion(version);
        }
        ReadHeader::Known(Self {
            identity: u32::from_le_bytes(field(bytes, 12)),
            sequence: u64::from_le_bytes(field(bytes, 16)),
            run: u32::from_le_bytes(field(bytes, 24)),
            rules: u32::from_le_bytes(field(bytes, 28)),
            digest: u128::from_le_bytes(field(bytes, 32)),
            body_bytes: u64::from_le_bytes(field(bytes, 48)),
        })
    }

    /// Computes the length of the file. Returns none if its body length is impossible.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        let checksums = self.body_bytes.div_ceil(CHUNK_BYTES as u64).checked_mul(CHECKSUM_BYTES as u64)?;
        self.body_bytes.checked_add(checksums)?.checked_add(HEADER_BYTES as u64)
    }
}

/// Computes the checksum of a chunk. The same bytes elsewhere in this file, or in another one, have another.
pub(super) fn chunk_checksum(identity: u32, sequence: u64, index: u64, chunk: &[u8]) -> u32 {
    let place = crc32c_append(crc32c(&identity.to_le_bytes()), &sequence.to_le_bytes());
    crc32c_append(crc32c_append(place, &index.to_le_bytes()), chunk)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}
