//! The heads of HTTP/1 requests as they were sent: what the parser leaves out of a request, this still has.
//!
//! Owns one rule: a request that says its length and sends chunks is refused, because another server may take its length
//! (RFC 9112, section 6.1). The parser goes by the chunks and drops the length, so that the request itself does not show
//! it. Follows where heads and bodies begin in what is read; never changes what is read, and keeps nothing of a body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::{Request, Version, header};
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::HEAD_MAX_BYTES;

/// How every HTTP/2 connection begins: its heads have no such doubts.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What is kept at most: the parser holds no more than a head's limit before it refuses, and what a read brings besides.
const KEPT_MAX_BYTES: usize = 2 * HEAD_MAX_BYTES;
/// What a connection that is not used may hold.
const IDLE_MAX_BYTES: usize = 4096;

/// The head that is read of one connection. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Heads(Arc<Mutex<Reading>>);

/// A stream whose reads are followed.
pub(super) struct Followed<S> {
    stream: S,
    heads: Heads,
}

/// Where in a connection's bytes the next one is.
#[derive(Debug, Default)]
struct Reading {
    place: Place,
    /// The bytes from the beginning of the head on.
    kept: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// In a head, or in what was sent behind one that nobody took yet.
    #[default]
    Head,
    /// In a body, of which so many bytes are left.
    Sized(u64),
    Chunks(Chunk),
    /// Not followed: HTTP/2, or not HTTP.
    Lost,
}

/// Where in a body of chunks the next byte is (RFC 9112, section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In the digits of a size.
    Size(u64),
    /// Behind them.
    Extension(u64),
    /// In a chunk, of which so many bytes are left, its end of line included.
    Part(u64),
    /// In the lines after the last chunk.
    Trailers { line_is_empty: bool, after_cr: bool },
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunks,
}

impl Heads {
    pub(super) fn follow<S>(&self, stream: S) -> Followed<S> {
        Followed { stream, heads: self.clone() }
    }

    /// Whether the end of this request's body is beyond doubt. To be asked when the parser hands the request over: before
    /// more is read.
    pub(super) fn is_certain(&self, request: &Request<Incoming>) -> bool {
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

impl Reading {
    /// Follows what was read.
    fn read(&mut self, bytes: &[u8]) {
        match self.place {
            Place::Lost => {}
            Place::Head if self.kept.len() + bytes.len() > KEPT_MAX_BYTES => self.lose(),
            Place::Head => {
                self.kept.extend_from_slice(bytes);
                if self.kept.starts_with(HTTP2_PREFACE) {
                    self.lose();
                }
            }
            Place::Sized(_) | Place::Chunks(_) => {
                let next = self.skip(bytes);
                self.kept.extend_from_slice(&bytes[next..]);
            }
        }
    }

    /// The bytes of the head that was read, if the whole of it is there.
    fn head(&self) -> Option<&[u8]> {
        if self.place == Place::Head { self.kept.get(..end_of_head(&self.kept)?) } else { None }
    }

    /// Goes on behind the head, into a body or the next head.
    fn pass(&mut self, framing: Framing) {
        let Some(end) = self.head().map(<[u8]>::len) else { return self.lose() };
        self.place = match framing {
            Framing::Length(0) => Place::Head,
            Framing::Length(length) => Place::Sized(length),
            Framing::Chunks => Place::Chunks(Chunk::Size(0)),
        };
        let mut kept = std::mem::take(&mut self.kept);
        let next = end + self.skip(&kept[end..]);
        kept.drain(..next);
        if kept.capacity() <= IDLE_MAX_BYTES || !kept.is_empty() {
            self.kept = kept;
        }
    }

    /// Goes through the bytes of a body; how many there are of it.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let left = (bytes.len() - at) as u64;
            match self.place {
                Place::Head | Place::Lost => return at,
                Place::Sized(more) => {
                    let passed = more.min(left);
                    at += passed as usize;
                    self.place = if more > passed { Place::Sized(more - passed) } else { Place::Head };
                }
                Place::Chunks(Chunk::Part(more)) => {
                    let passed = more.min(left);
                    at += passed as usize;
                    let next = if more > passed { Chunk::Part(more - passed) } else { Chunk::Size(0) };
                    self.place = Place::Chunks(next);
                }
                Place::Chunks(chunk) => {
                    at += 1;
                    self.place = chunk.after(byte).map_or(Place::Head, Place::Chunks);
                }
            }
        }
        at
    }

    fn lose(&mut self) {
        (self.place, self.kept) = (Place::Lost, Vec::new());
    }
}

impl Chunk {
    /// Where the byte after this one is; none: behind the body. The parser refuses what is malformed.
    fn after(self, byte: u8) -> Option<Chunk> {
        let digit = char::from(byte).to_digit(16);
        Some(match (self, byte) {
            (Chunk::Size(0) | Chunk::Extension(0), b'\n') => Chunk::Trailers { line_is_empty: true, after_cr: false },
            (Chunk::Size(size) | Chunk::Extension(size), b'\n') => Chunk::Part(size.saturating_add(2)),
            (Chunk::Size(size), _) => match digit {
                Some(digit) => Chunk::Size(size.saturating_mul(16).saturating_add(digit.into())),
                None => Chunk::Extension(size),
            },
            // A line of a trailer ends by both, as the parser has it; either alone is part of it.
            (Chunk::Trailers { line_is_empty: true, after_cr: true }, b'\n') => return None,
            (Chunk::Trailers { after_cr: true, .. }, b'\n') => Chunk::Trailers { line_is_empty: true, after_cr: false },
            (Chunk::Trailers { line_is_empty, .. }, b'\r') => Chunk::Trailers { line_is_empty, after_cr: true },
            (Chunk::Trailers { .. }, _) => Chunk::Trailers { line_is_empty: false, after_cr: false },
            (within, _) => within,
        })
    }
}

/// Where a head ends: behind its first empty line. Empty lines before it are none of it, but go with it.
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

/// Whether a head has exactly so many fields and no length among them: the parser drops no other field.
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
mod tests {
    use super::*;

    /// Reads `sent` in parts of `size`, each request handed over as soon as its head is there; how many heads came, and
    /// where the last byte was.
    fn followed(sent: &str, size: usize, framings: &[Framing]) -> (Vec<String>, Place) {
        let (mut reading, mut framings) = (Reading::default(), framings.iter());
        let mut heads = Vec::new();
        for part in sent.as_bytes().chunks(size) {
            reading.read(part);
            while let Some(head) = reading.head() {
                heads.push(String::from_utf8(head.to_vec()).unwrap());
                reading.pass(*framings.next().unwrap());
            }
        }
        assert!(reading.kept.is_empty(), "{reading:?}");
        (heads, reading.place)
    }

    fn check(sent: &[(&str, Framing, &str)]) {
        let all: String = sent.iter().flat_map(|(head, _, body)| [*head, *body]).collect();
        let heads: Vec<String> = sent.iter().map(|(head, _, _)| (*head).to_owned()).collect();
        let framings: Vec<Framing> = sent.iter().map(|(_, framing, _)| *framing).collect();
        for size in 1..=all.len() {
            assert_eq!(followed(&all, size, &framings), (heads.clone(), Place::Head), "in parts of {size}");
        }
    }

    const GET: (&str, Framing, &str) = ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0), "");

    #[test]
    fn every_head_is_found_behind_what_stands_before_it() {
        check(&[GET]);
        check(&[GET, GET, GET]);
        check(&[("\r\n\r\nGET / HTTP/1.1\nHost: a\n\n", Framing::Length(0), ""), GET]);
        check(&[("POST / HTTP/1.1\r\n\r\n", Framing::Length(30), "GET / HTTP/1.1\r\nHost: a\r\n\r\n..."), GET]);
        let post = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&[(post, Framing::Chunks, "0\r\n\r\n"), GET]);
        check(&[(post, Framing::Chunks, "0\r\nA: b\n\nX\nP: 1\nQ: 2\r\n\r\n"), GET]);
        check(&[
            (post, Framing::Chunks, "5\r\nhello\r\n00A;b=\"c\"\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\nA: b\r\n\r\n"),
            GET,
        ]);
        check(&[(post, Framing::Chunks, "1c\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n.\r\n0 ;x\r\n\r\n"), GET, GET]);
    }

    #[test]
    fn what_is_no_http_1_is_not_kept() {
        let mut reading = Reading::default();
        for part in HTTP2_PREFACE.chunks(5) {
            reading.read(part);
        }
        assert_eq!((reading.place, reading.kept.capacity()), (Place::Lost, 0));
        let mut reading = Reading::default();
        for _ in 0..100 {
            reading.read(&[b'x'; 1024]);
        }
        assert_eq!((reading.place, reading.kept.capacity()), (Place::Lost, 0));
    }

    #[test]
    fn a_length_is_found_wherever_it_stands() {
        let check = |fields: &str, count: usize, expected: bool| {
            assert_eq!(
                has_fields(format!("\r\nPOST / HTTP/1.1\r\n{fields}\r\n").as_bytes(), count),
                expected,
                "{fields}"
            );
        };
        check("Host: a\r\nTransfer-Encoding: chunked\r\n", 2, true);
        check("Host: a\nTransfer-Encoding: chunked\n", 2, true);
        check("Transfer-Encoding: chunked\r\ncontent-LENGTH: 5\r\n", 1, false);
        check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 1, false);
        check("X: Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 2, true);
        check("Transfer-Encoding: chunked\r\n", 2, false);
    }
}
