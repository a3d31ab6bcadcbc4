//! The encoding of one event.

use super::*;

#[test]
fn lengths_and_checksums_are_right() {
    let event = event("PayloadChunk", "application/octet-stream", b"hello");
    assert_eq!(event.len(), u32::from_be_bytes(event[..4].try_into().unwrap()) as usize);
    assert_eq!(crc32fast::hash(&event[..8]), u32::from_be_bytes(event[8..12].try_into().unwrap()));
    let (before, crc) = event.split_at(event.len() - 4);
    assert_eq!(crc32fast::hash(before), u32::from_be_bytes(crc.try_into().unwrap()));
    assert!(before.ends_with(b"hello"));
}
