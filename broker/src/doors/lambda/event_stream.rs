//! Amazon's event stream encoding, as far as streamed answers need it.
//!
//! Source: the `vnd.amazon.eventstream` encoding: total and header length, a CRC-32 of both, headers, payload, and a
//! CRC-32 of all before it; numbers big-endian. A header is its name's length and name, type 7, length and text.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// Type of a header with a text value.
const TEXT: u8 = 7;
/// Length of the prelude: total length, length of the headers, and their checksum.
const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// Returns one event as it goes over the wire.
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

/// Returns the event that ends an answer.
pub(super) fn completed(how: Value) -> Bytes {
    event("InvokeComplete", "application/json", how.to_string().as_bytes())
}

#[cfg(test)]
#[path = "../../../tests/unit/doors/lambda/event_stream.rs"]
mod tests;
