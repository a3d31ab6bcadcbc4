//! Delivery of a request over a kept connection: whether its bytes reached the server before the server closed.
//!
//! A server may close an unused connection just as a request comes. Then the server's FIN arrives, and the server's TCP
//! has acknowledged not a byte of the request: nothing was read, so it may be sent again whatever it does. After an
//! acknowledged byte, or a reset without a FIN, the server may have read it. Linux counts acknowledged bytes (tcp(7),
//! TCP_INFO).

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of the largest payload that is judged: it is written at once, with the head.
const PAYLOAD_MAX_BYTES: usize = 16 << 10;
/// Bytes of the shortest head.
const HEAD_MIN_BYTES: usize = 100;

/// Bytes written to a connection since its last read, of which the server acknowledged none when it closed; else 0.
/// Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Undelivered(Arc<AtomicU64>);

impl Undelivered {
    /// Returns true if a connection was closed before the server got a byte of the request that failed there, whose
    /// payload has `payload_bytes`. False for what is not known: large payloads, and HTTP/2, where requests overlap.
    pub(super) fn is_whole_request(connection: &Connected, payload_bytes: usize) -> bool {
        let mut extras = http::Extensions::new();
        connection.get_extras(&mut extras);
        let undelivered = extras.get::<Undelivered>().map_or(0, |undelivered| undelivered.0.load(Ordering::Acquire));
        !connection.is_negotiated_h2()
            && payload_bytes <= PAYLOAD_MAX_BYTES
            // A part of a request might be unread where the rest was read.
            && undelivered >= (HEAD_MIN_BYTES + payload_bytes) as u64
    }
}

/// A connection to a provider that counts what the provider got of a request.
pub(crate) struct CountedStream {
    stream: TcpStream,
    undelivered: Undelivered,
    /// Acknowledged bytes when the connection was made: the handshake counts, too. None if they are not counted.
    acknowledged_before: Option<u64>,
    /// Bytes written in all.
    written: u64,
    /// Bytes written before the last read.
    written_before: u64,
    /// True if the last operation was a read.
    has_read: bool,
}

impl CountedStream {
    pub(crate) fn new(stream: TcpStream) -> CountedStream {
        let acknowledged_before = acknowledged_bytes(&stream);
        let undelivered = Undelivered::default();
        CountedStream { stream, undelivered, acknowledged_before, written: 0, written_before: 0, has_read: false }
    }

    fn note_written(&mut self, bytes: usize) {
        if std::mem::take(&mut self.has_read) {
            self.written_before = self.written;
        }
        self.written += bytes as u64;
    }

    /// Notes that the server's FIN has come.
    fn note_closed(&self) {
        if let (Some(before), Some(now)) = (self.acknowledged_before, acknowledged_bytes(&self.stream)) {
            let is_none_acknowledged = now.saturating_sub(before) <= self.written_before;
            let undelivered = if is_none_acknowledged { self.written - self.written_before } else { 0 };
            self.undelivered.0.store(undelivered, Ordering::Release);
        }
    }
}

/// Returns the bytes that the peer's TCP has acknowledged; none on a kernel that does not count them.
#[allow(unsafe_code, reason = "no crate here reads TCP_INFO")]
fn acknowledged_bytes(stream: &TcpStream) -> Option<u64> {
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: all bits zero are a valid value of this plain structure of integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most `length` bytes, the size of `info`, and the descriptor is open.
    let read = unsafe {
        let value = (&raw mut info).cast::<libc::c_void>();
        libc::getsockopt(stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, value, &raw mut length)
    };
    let counts = length as usize >= std::mem::offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
    (read == 0 && counts).then_some(info.tcpi_bytes_acked)
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.has_read = true;
        } else if buffer.remaining() > 0 {
            self.note_closed();
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
