//! Sizes that hold at more than one door.

/// Largest payload of the native door, and largest answer that is whole: 6 MB, as at Lambda.
pub(crate) const PAYLOAD_MAX_BYTES: usize = 6 << 20;
/// Largest payload of a call that is passed through, and largest answer that streams: 20 MB, as at Lambda.
pub(crate) const STREAMED_MAX_BYTES: usize = 20 << 20;
/// Buffer of a payload or an answer: 256 KB. A larger one streams.
pub(crate) const BUFFERED_MAX_BYTES: usize = 256 << 10;
/// Largest module: 32 MB.
pub(crate) const MODULE_MAX_BYTES: usize = 32 << 20;
