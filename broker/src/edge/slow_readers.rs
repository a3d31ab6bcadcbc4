//! Answers over HTTP/2 that their client does not take.
//!
//! Over HTTP/1.1 who reads nothing holds up the connection's writes, which are timed. Over HTTP/2 a client may hold up its
//! streams by their windows and keep the connection alive all the same. So here is known what waits for the client, and when
//! it last took any of it. Who takes something is not cut, however many of its answers wait.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

use super::connection::READ_WITHIN;

/// An answer is handed on in pieces of this.
const PIECE_BYTES: usize = 16 << 10;

/// What waits for the client of one connection. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Unheard(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    last: u64,
    /// Oldest first.
    since: BTreeMap<u64, Instant>,
    /// When a piece was written last.
    taken: Option<Instant>,
}

impl Unheard {
    /// Times the body of an answer.
    pub(super) fn time(&self, response: Response) -> Response {
        response.map(|body| {
            let waits = (!body.is_end_stream()).then(|| self.wait());
            Body::new(Timed { body, held: Bytes::new(), unheard: self.clone(), waits })
        })
    }

    /// Returns once something waits, and nothing was taken, for too long.
    pub(super) async fn too_long(&self) {
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

    fn wait(&self) -> Waits {
        let mut waiting = self.lock();
        waiting.last += 1;
        let number = waiting.last;
        waiting.since.insert(number, Instant::now());
        Waits { number, unheard: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something waits for the client, until this is dropped.
struct Waits {
    number: u64,
    unheard: Unheard,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.unheard.lock().since.remove(&self.number);
    }
}

/// Bytes that are on their way; dropped once they are written.
struct Piece {
    bytes: Bytes,
    waits: Waits,
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.waits.unheard.lock().taken = Some(Instant::now());
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The body of an answer, in pieces.
struct Timed {
    body: Body,
    /// What came of it and was not taken yet.
    held: Bytes,
    unheard: Unheard,
    /// None while it is the function that is waited for.
    waits: Option<Waits>,
}

impl HttpBody for Timed {
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
        let piece = Piece { bytes: self.held.split_to(length), waits: self.unheard.wait() };
        if !self.is_end_stream() {
            self.waits = Some(self.unheard.wait());
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
