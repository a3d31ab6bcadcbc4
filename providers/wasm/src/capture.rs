//! Where a guest's stdout and stderr go: bounded buffers in memory, never the process's own streams.

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
    full: Full,
    overflowed: bool,
}

/// What happens beyond the limit.
enum Full {
    /// The write fails and the guest is stopped.
    Stop,
    /// The oldest bytes go.
    ForgetOldest,
}

impl Capture {
    /// Keeps the first `limit` bytes and stops the guest at the write that passes them.
    pub(crate) fn head(limit: usize) -> Capture {
        Capture::new(limit, Full::Stop)
    }

    /// Keeps the last `limit` bytes and takes any number.
    pub(crate) fn tail(limit: usize) -> Capture {
        Capture::new(limit, Full::ForgetOldest)
    }

    fn new(limit: usize, full: Full) -> Capture {
        let buffer = Buffer { bytes: Vec::new(), limit, full, overflowed: false };
        Capture { buffer: Arc::new(Mutex::new(buffer)) }
    }

    /// Whether a write passed the limit.
    pub(crate) fn overflowed(&self) -> bool {
        self.lock().overflowed
    }

    /// Takes what is kept.
    pub(crate) fn take(&self) -> Bytes {
        let mut buffer = self.lock();
        buffer.forget_beyond_limit();
        std::mem::take(&mut buffer.bytes).into()
    }

    /// Appends what the guest writes.
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
        match self.full {
            Full::Stop => {
                let room = self.limit - self.bytes.len();
                self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if bytes.len() > room {
                    self.overflowed = true;
                    return Err(OutputLimitReached);
                }
            }
            Full::ForgetOldest => {
                self.bytes.extend_from_slice(&bytes[bytes.len().saturating_sub(self.limit)..]);
                // Moving the tail only once it has doubled makes a byte cost one move, not many.
                if self.bytes.len() > 2 * self.limit {
                    self.forget_beyond_limit();
                }
            }
        }
        Ok(())
    }

    fn forget_beyond_limit(&mut self) {
        let beyond = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..beyond);
    }
}
