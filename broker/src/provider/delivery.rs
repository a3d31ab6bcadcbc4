//! Delivery of a request over a kept connection: whether its bytes reached the server before the server closed.
//!
//! A server may close an unused connection just as a request comes. Its FIN arrives, its TCP has acknowledged not a
//! byte of the request (TCP_INFO counts them, tcp(7)), and it refuses the request's bytes with a reset, as TCP does for
//! a closed socket. Such a request was not read, and may be sent again whatever it does. In every other case the server
//! may have read it: bytes were acknowledged, the reset came without a FIN, or no reset came, since a server may close
//! its own direction alone and read on.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// Bytes of the largest payload that is judged: it is written at once, with the head.
const PAYLOAD_MAX_BYTES: usize = 16 << 10;
/// Bytes of the shortest head.
const HEAD_MIN_BYTES: usize = 100;
/// State of a connection that was reset (`TCP_CLOSE` in Linux' tcp_states.h).
const TCP_CLOSE: u8 = 7;
/// Time between two looks for the reset, and most looks: 200 ms in all.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
const LOOKS_MAX: u32 = 100;

/// Bytes written since the last read, if the server closed the connection and refused all of them; else 0. Clones share
/// it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Undelivered(Arc<AtomicU64>);

impl Undelivered {
    /// Returns true if a connection was closed before the server got a byte of the request that failed there, whose
    /// payload has `payload_bytes`. Returns false for large payloads and HTTP/2, where it cannot tell.
    pub(super) fn is_whole_request(connection: &Connected, payload_bytes: usize) -> bool {
        let mut extras = http::Extensions::new();
        connection.get_extras(&mut extras);
        let undelivered = extras.get::<Undelivered>().map_or(0, |undelivered| undelivered.0.load(Ordering::Acquire));
        !connection.is_negotiated_h2()
            && payload_bytes <= PAYLOAD_MAX_BYTES
            // Else only a tail of the request is known to be unread.
            && undelivered >= (HEAD_MIN_BYTES + payload_bytes) as u64
    }
}

/// A TCP connection to a provider that counts written and acknowledged bytes.
pub(crate) struct CountedStream {
    stream: TcpStream,
    undelivered: Undelivered,
    /// Acknowledged bytes when the connection was made: the handshake counts as one. 0 if the kernel does not count.
    acknowledged_before: u64,
    /// Bytes written in all.
    written: u64,
    /// Bytes written before the last read.
    written_before: u64,
    /// True if the last operation was a read.
    has_read: bool,
    /// Set at the server's FIN, while its reset is awaited.
    until_reset: Option<UntilReset>,
}

/// The wait for a reset, which comes after a round trip if the server has closed both directions.
struct UntilReset {
    looks_left: u32,
    next_look: Pin<Box<Sleep>>,
}

impl CountedStream {
    pub(crate) fn new(stream: TcpStream) -> CountedStream {
        let acknowledged_before = tcp_info(&stream).map_or(0, |info| info.tcpi_bytes_acked);
        let undelivered = Undelivered::default();
        CountedStream {
            stream,
            undelivered,
            acknowledged_before,
            written: 0,
            written_before: 0,
            has_read: false,
            until_reset: None,
        }
    }

    fn note_written(&mut self, bytes: usize) {
        if std::mem::take(&mut self.has_read) {
            self.written_before = self.written;
        }
        self.written += bytes as u64;
    }

    /// Judges the last request after the server's FIN. Ready once it is judged.
    fn poll_judged(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let refused = match tcp_info(&self.stream) {
                Some(info) if self.is_unacknowledged(info.tcpi_bytes_acked) => {
                    (info.tcpi_state == TCP_CLOSE).then_some(self.written - self.written_before)
                }
                _ => Some(0),
            };
            let until = self
                .until_reset
                .get_or_insert_with(|| UntilReset { looks_left: LOOKS_MAX, next_look: Box::pin(sleep(LOOK_INTERVAL)) });
            if let Some(refused) = refused.or((until.looks_left == 0).then_some(0)) {
                self.undelivered.0.store(refused, Ordering::Release);
                return Poll::Ready(());
            }
            ready!(until.next_look.as_mut().poll(context));
            until.looks_left -= 1;
            until.next_look.as_mut().reset(Instant::now() + LOOK_INTERVAL);
        }
    }

    /// Returns true if the kernel counts, there was a request before, and nothing since was acknowledged.
    fn is_unacknowledged(&self, acknowledged: u64) -> bool {
        let before = self.acknowledged_before;
        let is_counted = before > 0 && acknowledged > before;
        is_counted && self.written > self.written_before && acknowledged - before <= self.written_before
    }
}

/// Returns the kernel's counts of a connection; none if it does not know acknowledged bytes.
#[allow(unsafe_code, reason = "no crate here reads TCP_INFO")]
fn tcp_info(stream: &TcpStream) -> Option<libc::tcp_info> {
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: all bits zero are a valid value of this plain structure of integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most `length` bytes, the size of `info`, and the descriptor is open.
    let read = unsafe {
        let value = (&raw mut info).cast::<libc::c_void>();
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, value, &raw mut length)
    };
    let counts = length as usize >= std::mem::offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
    (read == 0 && counts).then_some(info)
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.until_reset.is_none() {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        }
        if buffer.filled().len() > before {
            self.has_read = true;
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() > 0 {
            ready!(self.poll_judged(context));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.note_written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, parts))?;
        self.note_written(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connection for CountedStream {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.undelivered.clone())
    }
}

#[cfg(test)]
#[path = "../../tests/unit/provider/delivery.rs"]
mod tests;
