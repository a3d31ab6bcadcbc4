//! Amazon's event stream encoding, as much as an answer that streams needs of it.
//!
//! Source: the `vnd.amazon.eventstream` encoding: total and header length, a CRC-32 of both, headers, payload, and a
//! CRC-32 of all before it; numbers big-endian. A header is its name's length and name, type 7, length and text.

use bytes::{BufMut, Bytes, BytesMut};

pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// The type of a header whose value is text.
const TEXT: u8 = 7;
/// Total length, length of the headers, and their checksum.
const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// One event as it goes over the wire.
pub(super) fn event(kind: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let headers = [(":message-type", "event"), (":event-type", kind), (":content-type", content_type)];
    let headers_bytes: usize = headers.iter().map(|(name, value)| 1 + name.len() + 1 + 2 + value.len()).sum();
    let total = PRELUDE_BYTES + headers_bytes + payload.len() + CRC_BYTES;
    let mut event = BytesMut::with_capacity(total);
    event.put_u32(total as u32);
    event.put_u32(headers_bytes as u32);
    event.put_u32(crc32fast::hash(&event));
    for (name, value) in headers {
        event.put_u8(name.len() as u8);
        event.put_slice(name.as_bytes());
        event.put_u8(TEXT);
        event.put_u16(value.len() as u16);
        event.put_slice(value.as_bytes());
    }
    event.put_slice(payload);
    event.put_u32(crc32fast::hash(&event));
    event.freeze()
}

#[cfg(test)]
mod tests {
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
}
