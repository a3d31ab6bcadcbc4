//! Slow readers over HTTP/2: a client that takes nothing of its answers for a minute is cut.
//!
//! Over HTTP/1.1 the writes of a connection time out. Over HTTP/2 a client may close the windows of its streams and
//! keep the connection alive. So the bytes that wait for the client are timed here, and the last time that it took any.
//! A client that takes something is not cut, however many of its answers wait.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

/// Time in which a client must read something of its answers.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(60);
/// Size of the pieces of an answer, in bytes.
const PIECE_BYTES: usize = 16 << 10;

/// The answers that wait for the client of one connection. Clones share it.
#[derive(Clone, Default)]
pub(super) struct SlowReader(Arc<Mutex<WaitingBytes>>);

#[derive(Default)]
struct WaitingBytes {
    last: u64,
    /// Since when each waits, oldest first.
    since: BTreeMap<u64, Instant>,
    /// Time at which a piece was written last.
    taken: Option<Instant>,
}

impl SlowReader {
    /// Times the body of an answer.
    pub(super) fn time(&self, response: Response) -> Response {
        response.map(|body| {
            let waits = (!body.is_end_stream()).then(|| self.wait());
            Body::new(TimedBody { body, held: Bytes::new(), reader: self.clone(), waits })
        })
    }

    /// Returns once something waits, and nothing was taken, for the timeout.
    pub(super) async fn too_slow(&self) {
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

/// A piece of an answer on its way, dropped once it is written.
struct Piece {
    bytes: Bytes,
    waits: WaitingMark,
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

/// The body of an answer, in timed pieces.
struct TimedBody {
    body: Body,
    /// Bytes of the body that were not taken yet.
    held: Bytes,
    reader: SlowReader,
    /// None while the function is waited for.
    waits: Option<WaitingMark>,
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.waits = None;
        if self.held.is_empty() {
            let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(context) else { return Poll::Pending };
            match polled.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => self.held = bytes,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let length = self.held.len().min(PIECE_BYTES);
        let piece = Piece { bytes: self.held.split_to(length), waits: self.reader.wait() };
        if !self.is_end_stream() {
            self.waits = Some(self.reader.wait());
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, held) = (self.body.size_hint(), self.held.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}
