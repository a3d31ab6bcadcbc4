//! The buffers of a guest's stdout and stderr, bounded and in memory. Never the process's own streams.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// Maximum bytes of one write to a stream.
const PIECE_BYTES: usize = 64 * 1024;

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

    fn append(&self, bytes: &[u8]) -> Result<(), OutputLimitReached> {
        self.lock().append(bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the output limit is reached")]
struct OutputLimitReached;

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

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes).map_err(|reached| StreamError::Trap(reached.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE_BYTES)
    }
}

#[async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Capture {
    fn poll_write(self: Pin<&mut Self>, _context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.append(bytes).map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
