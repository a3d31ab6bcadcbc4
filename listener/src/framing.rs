//! The framing of HTTP/1 requests: a request with both a length and chunks is refused, because another server may take
//! its length (RFC 9112, section 6.1).
//!
//! The parser goes by the chunks and drops the length, so that the request itself does not show it. So the raw heads
//! are followed here beside the parser. Never changes the bytes, and keeps nothing of a body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::{Request, Version, header};
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Largest head of a request, in bytes: as most proxies take.
pub(crate) const HEAD_MAX_BYTES: usize = 32 << 10;
/// Preface of HTTP/2 connections, whose framing is never in doubt.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Buffer of a head, in bytes: the parser's limit, and the most that one read brings besides.
const KEPT_MAX_BYTES: usize = 2 * HEAD_MAX_BYTES;
/// Buffer that an unused connection may keep, in bytes.
const IDLE_MAX_BYTES: usize = 4096;

/// The head that a connection is reading. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Heads(Arc<Mutex<HeadReader>>);

/// A stream whose reads are followed.
pub(crate) struct Followed<S> {
    stream: S,
    heads: Heads,
}

/// The position in the bytes of a connection.
#[derive(Debug, Default)]
struct HeadReader {
    position: Position,
    /// Bytes from the beginning of the head on.
    kept: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    /// In a head, or in bytes behind a head that nobody took yet.
    #[default]
    Head,
    /// In a body with so many bytes left.
    Sized(u64),
    Chunks(ChunkPosition),
    /// Not followed: HTTP/2, or not HTTP.
    Lost,
}

/// The position in a body of chunks (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkPosition {
    /// In the digits of a size.
    Size(u64),
    /// Behind the digits.
    Extension(u64),
    /// In a chunk with so many bytes left, its end of line included.
    Part(u64),
    /// In the lines after the last chunk.
    Trailers { line_is_empty: bool, after_cr: bool },
}

/// The way in which the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunks,
}

impl Heads {
    pub(crate) fn follow<S>(&self, stream: S) -> Followed<S> {
        Followed { stream, heads: self.clone() }
    }

    /// Returns true if the end of the request's body is beyond doubt. Call it when the parser hands the request over,
    /// before more is read.
    pub(crate) fn is_certain(&self, request: &Request<Incoming>) -> bool {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(request.version(), Version::HTTP_10 | Version::HTTP_11) {
            reading.lose();
            return true;
        }
        let framing = request.body().size_hint().exact().map_or(Framing::Chunks, Framing::Length);
        if !request.headers().contains_key(header::TRANSFER_ENCODING) {
            reading.pass(framing);
            return true;
        }
        let is_certain = reading.head().is_some_and(|head| has_fields(head, request.headers().len()));
        reading.pass(framing);
        is_certain
    }
}

impl HeadReader {
    /// Follows bytes that were read.
    fn read(&mut self, bytes: &[u8]) {
        match self.position {
            Position::Lost => {}
            Position::Head if self.kept.len() + bytes.len() > KEPT_MAX_BYTES => self.lose(),
            Position::Head => {
                self.kept.extend_from_slice(bytes);
                if self.kept.starts_with(HTTP2_PREFACE) {
                    self.lose();
                }
            }
            Position::Sized(_) | Position::Chunks(_) => {
                let next = self.skip(bytes);
                self.kept.extend_from_slice(&bytes[next..]);
            }
        }
    }

    /// Returns the bytes of the head, once the whole of it is there.
    fn head(&self) -> Option<&[u8]> {
        if self.position == Position::Head { self.kept.get(..end_of_head(&self.kept)?) } else { None }
    }

    /// Moves on behind the head, into a body or the next head.
    fn pass(&mut self, framing: Framing) {
        let Some(end) = self.head().map(<[u8]>::len) else { return self.lose() };
        self.position = match framing {
            Framing::Length(0) => Position::Head,
            Framing::Length(length) => Position::Sized(length),
            Framing::Chunks => Position::Chunks(ChunkPosition::Size(0)),
        };
        let mut kept = std::mem::take(&mut self.kept);
        let next = end + self.skip(&kept[end..]);
        kept.drain(..next);
        if kept.capacity() <= IDLE_MAX_BYTES || !kept.is_empty() {
            self.kept = kept;
        }
    }

    /// Moves through the bytes of a body. Returns how many of them belong to it.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let left = (bytes.len() - at) as u64;
            match self.position {
                Position::Head | Position::Lost => return at,
                Position::Sized(more) => {
                    let passed = more.min(left);
                    at += passed as usize;
                    self.position = if more > passed { Position::Sized(more - passed) } else { Position::Head };
                }
                Position::Chunks(ChunkPosition::Part(more)) => {
                    let passed = more.min(left);
                    at += passed as usize;
                    let next = if more > passed { ChunkPosition::Part(more - passed) } else { ChunkPosition::Size(0) };
                    self.position = Position::Chunks(next);
                }
                Position::Chunks(chunk) => {
                    at += 1;
                    self.position = chunk.after(byte).map_or(Position::Head, Position::Chunks);
                }
            }
        }
        at
    }

    fn lose(&mut self) {
        (self.position, self.kept) = (Position::Lost, Vec::new());
    }
}

impl ChunkPosition {
    /// Returns the position after this byte; none behind the body. The parser refuses malformed chunks.
    fn after(self, byte: u8) -> Option<ChunkPosition> {
        let digit = char::from(byte).to_digit(16);
        Some(match (self, byte) {
            (ChunkPosition::Size(0) | ChunkPosition::Extension(0), b'\n') => {
                ChunkPosition::Trailers { line_is_empty: true, after_cr: false }
            }
            (ChunkPosition::Size(size) | ChunkPosition::Extension(size), b'\n') => {
                ChunkPosition::Part(size.saturating_add(2))
            }
            (ChunkPosition::Size(size), _) => match digit {
                Some(digit) => ChunkPosition::Size(size.saturating_mul(16).saturating_add(digit.into())),
                None => ChunkPosition::Extension(size),
            },
            // As in the parser, only CR and LF together end a line of a trailer.
            (ChunkPosition::Trailers { line_is_empty: true, after_cr: true }, b'\n') => return None,
            (ChunkPosition::Trailers { after_cr: true, .. }, b'\n') => {
                ChunkPosition::Trailers { line_is_empty: true, after_cr: false }
            }
            (ChunkPosition::Trailers { line_is_empty, .. }, b'\r') => {
                ChunkPosition::Trailers { line_is_empty, after_cr: true }
            }
            (ChunkPosition::Trailers { .. }, _) => ChunkPosition::Trailers { line_is_empty: false, after_cr: false },
            (within, _) => within,
        })
    }
}

/// Returns the end of a head: behind its first empty line. Leading empty lines go with it.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let mut at = begin;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == b'\n')? + 1;
        match bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// Returns true if a head has `count` fields and no length among them: the parser drops no other field.
fn has_fields(head: &[u8], count: usize) -> bool {
    let lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let mut fields = 0;
    for line in lines.skip(1) {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str().as_bytes()) {
            return false;
        }
        fields += 1;
    }
    fields == count
}

impl<S: AsyncRead + Unpin> AsyncRead for Followed<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buf))?;
        self.heads.0.lock().unwrap_or_else(PoisonError::into_inner).read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Followed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
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

#[cfg(test)]
#[path = "../tests/unit/framing.rs"]
mod tests;
