//! The buffers of a guest's stdout and stderr, bounded and in memory. Never the process's own streams.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// A bounded stream of a guest; clones share one buffer.
#[derive(Clone)]
pub(crate) struct Capture {
    buffer: Arc<Mutex<Buffer>>,
}

struct Buffer {
    bytes: Vec<u8>,
    limit: usize,
    overflow: Overflow,
    overflowed: bool,
}

/// The rule for bytes beyond the limit.
enum Overflow {
    /// Fails the write and stops the guest.
    Stop,
    /// Drops the oldest bytes.
    DropOldest,
}

impl Capture {
    /// Keeps the first `limit` bytes and stops the guest at the write that passes them.
    pub(crate) fn head(limit: usize) -> Capture {
        Capture::new(limit, Overflow::Stop)
    }

    /// Keeps the last `limit` bytes and takes any number.
    pub(crate) fn tail(limit: usize) -> Capture {
        Capture::new(limit, Overflow::DropOldest)
    }

    fn new(limit: usize, overflow: Overflow) -> Capture {
        let buffer = Buffer { bytes: Vec::new(), limit, overflow, overflowed: false };
        Capture { buffer: Arc::new(Mutex::new(buffer)) }
    }

    /// Returns true if a write passed the limit.
    pub(crate) fn overflowed(&self) -> bool {
        self.lock().overflowed
    }

    /// Takes the kept bytes.
    pub(crate) fn take(&self) -> Bytes {
        let mut buffer = self.lock();
        buffer.drop_beyond_limit();
        std::mem::take(&mut buffer.bytes).into()
    }

    /// Appends bytes that the guest writes. Refuses those beyond the limit of the output.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<(), OutputLimitReached> {
        self.lock().append(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the output limit is reached")]
pub(crate) struct OutputLimitReached;

impl Buffer {
    fn append(&mut self, bytes: &[u8]) -> Result<(), OutputLimitReached> {
        match self.overflow {
            Overflow::Stop => {
                let room = self.limit - self.bytes.len();
                self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if bytes.len() > room {
                    self.overflowed = true;
                    return Err(OutputLimitReached);
                }
            }
            Overflow::DropOldest => {
                self.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(self.limit)..]);
                // The tail is moved only after it has doubled, so that each byte moves once.
                if self.bytes.len() > 2 * self.limit {
                    self.drop_beyond_limit();
                }
            }
        }
        Ok(())
    }

    fn drop_beyond_limit(&mut self) {
        let beyond = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..beyond);
    }
}
