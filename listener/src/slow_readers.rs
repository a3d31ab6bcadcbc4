//! Slow readers over HTTP/2: a client that takes nothing of its answers for a minute is cut.
//!
//! Over HTTP/1.1 the writes of a connection time out, and one that waits keeps its connection from being idle. Over
//! HTTP/2 a client may close the windows of its streams and keep the connection alive. So the bytes that wait for the
//! client are timed here, and the last time that it took any. A client that takes something is not cut, however many of
//! its answers wait.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::slots::{Activity, UnderWay};

/// Time in which a client must read something of its answers.
pub(crate) const READ_WITHIN: Duration = Duration::from_secs(60);
/// Size of the pieces of an answer over HTTP/2, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// The answers that wait for the client of one connection. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct SlowReader(Arc<Mutex<WaitingBytes>>);

#[derive(Default)]
struct WaitingBytes {
    last: u64,
    /// Since when each waits, oldest first.
    since: BTreeMap<u64, Instant>,
    /// Time at which a piece was written last.
    taken: Option<Instant>,
}

impl SlowReader {
    /// Returns once something waits, and nothing was taken, for the timeout.
    pub(crate) async fn too_slow(&self) {
        loop {
            let now = Instant::now();
            let since = {
                let waiting = self.lock();
                waiting.since.values().next().map(|oldest| waiting.taken.map_or(*oldest, |taken| taken.max(*oldest)))
            };
            let until = since.unwrap_or(now) + READ_WITHIN;
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn wait(&self) -> WaitingMark {
        let mut waiting = self.lock();
        waiting.last += 1;
        let number = waiting.last;
        waiting.since.insert(number, Instant::now());
        WaitingMark { number, reader: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, WaitingBytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that wait for the client, until this is dropped.
struct WaitingMark {
    number: u64,
    reader: SlowReader,
}

impl Drop for WaitingMark {
    fn drop(&mut self) {
        self.reader.lock().since.remove(&self.number);
    }
}

/// A piece of an answer on its way, dropped once it is written. Its request is under way until then.
struct Piece {
    bytes: Bytes,
    waits: WaitingMark,
    _under_way: UnderWay,
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.waits.reader.lock().taken = Some(Instant::now());
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A stream that tells the activity of its connection whether written bytes wait for the client.
pub(crate) struct WatchedWrites<S> {
    stream: S,
    activity: Arc<Activity>,
    is_write_blocked: bool,
    /// Over TLS, the last records are written by a flush.
    is_flush_blocked: bool,
}

impl<S> WatchedWrites<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> WatchedWrites<S> {
        WatchedWrites { stream, activity, is_write_blocked: false, is_flush_blocked: false }
    }

    fn note(&self) {
        self.activity.note_write(self.is_write_blocked || self.is_flush_blocked);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedWrites<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedWrites<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.is_write_blocked = polled.is_pending();
        self.note();
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.is_write_blocked = polled.is_pending();
        self.note();
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.is_flush_blocked = polled.is_pending();
        self.note();
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The body of an answer: its request is under way until it is dropped. Over HTTP/2 it goes out in timed pieces.
pub struct AnswerBody<B> {
    body: B,
    timed: Option<TimedPieces>,
    under_way: UnderWay,
}

struct TimedPieces {
    /// Bytes of the body that were not taken yet.
    held: Bytes,
    reader: SlowReader,
    /// None while the function is waited for.
    waits: Option<WaitingMark>,
}

impl<B: Body<Data = Bytes> + Unpin> AnswerBody<B> {
    /// Without a `reader` the pieces are not timed.
    pub(crate) fn new(body: B, reader: Option<SlowReader>, under_way: UnderWay) -> AnswerBody<B> {
        let timed = reader.map(|reader| {
            let waits = (!body.is_end_stream()).then(|| reader.wait());
            TimedPieces { held: Bytes::new(), reader, waits }
        });
        AnswerBody { body, timed, under_way }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let AnswerBody { body, timed, under_way } = &mut *self;
        let Some(timed) = timed else { return Pin::new(body).poll_frame(context) };
        timed.waits = None;
        if timed.held.is_empty() {
            let Poll::Ready(polled) = Pin::new(&mut *body).poll_frame(context) else { return Poll::Pending };
            match polled.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => timed.held = bytes,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = timed.held.len().min(PIECE_BYTES);
        let piece =
            Piece { bytes: timed.held.split_to(length), waits: timed.reader.wait(), _under_way: under_way.clone() };
        if !(timed.held.is_empty() && body.is_end_stream()) {
            timed.waits = Some(timed.reader.wait());
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.timed.as_ref().is_none_or(|timed| timed.held.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.timed.as_ref().map_or(0, |timed| timed.held.len() as u64);
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}
