//! The payload of a call as its attempts send it: whole where it is small, else its beginning and the rest as it comes.
//!
//! Owns what a retry needs to know: a payload of which more than the beginning was sent cannot be sent again. A fault
//! with the payload is the caller's, never the provider's.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use crate::error::ApiError;
use crate::limits::BUFFERED_MAX_BYTES;
use crate::quota::bodies::{BodyFault, Held, Room, read_beginning};

/// Timeout of the caller's next part.
const NEXT_WITHIN: Duration = Duration::from_secs(30);

/// A payload. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Whole(Held),
    Streamed(Arc<StreamedPayload>),
}

/// A payload that is larger than the buffer.
#[derive(Debug)]
pub(crate) struct StreamedPayload {
    first: Held,
    /// Length of the whole, if the caller stated it.
    length: Option<u64>,
    max_bytes: usize,
    rest: Mutex<Unsent>,
    fault: OnceLock<BodyFault>,
}

/// The part of a payload that was not sent yet.
#[derive(Debug)]
struct Unsent {
    body: Body,
    /// Bytes that came so far, the beginning included.
    bytes: usize,
    touched: bool,
    /// The attempt that may read it. The connection of an earlier one may live on, and gets no more.
    attempt: u32,
}

impl Payload {
    /// Reads a payload up to the buffer. Refuses one that states, or turns out, to be above `max_bytes`.
    pub(crate) async fn read(body: Body, max_bytes: usize, room: Room<'_>) -> Result<Payload, ApiError> {
        let (first, rest) = read_beginning(body, max_bytes, BUFFERED_MAX_BYTES, room).await?;
        let Some(body) = rest else { return Ok(Payload::Whole(first)) };
        let length = HttpBody::size_hint(&body).exact().map(|rest| rest + first.len() as u64);
        let rest = Mutex::new(Unsent { body, bytes: first.len(), touched: false, attempt: 0 });
        Ok(Payload::Streamed(Arc::new(StreamedPayload { first, length, max_bytes, rest, fault: OnceLock::new() })))
    }

    /// Returns the body of one attempt's request.
    pub(crate) fn body(&self) -> Outgoing {
        match self {
            Payload::Whole(held) => Outgoing { first: held.bytes.clone(), rest: None, attempt: 0, slow: None },
            Payload::Streamed(streamed) => {
                let mut rest = streamed.lock();
                rest.attempt += 1;
                let attempt = rest.attempt;
                Outgoing { first: streamed.first.bytes.clone(), rest: Some(streamed.clone()), attempt, slow: None }
            }
        }
    }

    /// Returns true while the caller has more to send.
    pub(crate) fn is_unfinished(&self) -> bool {
        matches!(self, Payload::Streamed(streamed) if !streamed.lock().body.is_end_stream())
    }

    /// Returns true once a part is gone, so that the payload cannot be sent again.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(self, Payload::Streamed(streamed) if streamed.lock().touched)
    }

    /// Returns the caller's fault with the payload, if there was one since.
    pub(crate) fn fault(&self) -> Option<ApiError> {
        let Payload::Streamed(streamed) = self else { return None };
        streamed.fault.get().map(|fault| fault.error(streamed.max_bytes))
    }
}

impl StreamedPayload {
    fn lock(&self) -> MutexGuard<'_, Unsent> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blame(&self, fault: BodyFault) -> BodyFault {
        *self.fault.get_or_init(|| fault)
    }
}

/// The body of one attempt's request.
pub(crate) struct Outgoing {
    first: Bytes,
    rest: Option<Arc<StreamedPayload>>,
    attempt: u32,
    /// Set while the caller's next part is awaited.
    slow: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(streamed) = self.rest.clone() else { return Poll::Ready(None) };
        let mut rest = streamed.lock();
        if rest.attempt != self.attempt {
            return Poll::Ready(Some(Err(BodyFault::BrokeOff)));
        }
        rest.touched = true;
        let polled = Pin::new(&mut rest.body).poll_frame(context);
        if polled.is_pending() {
            let slow = self.slow.get_or_insert_with(|| Box::pin(tokio::time::sleep(NEXT_WITHIN)));
            ready!(slow.as_mut().poll(context));
            return Poll::Ready(Some(Err(streamed.blame(BodyFault::TooSlow))));
        }
        self.slow = None;
        let frame = match ready!(polled) {
            None => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(streamed.blame(BodyFault::BrokeOff)))),
            Some(Ok(frame)) => frame,
        };
        rest.bytes += frame.data_ref().map_or(0, Bytes::len);
        if rest.bytes > streamed.max_bytes {
            return Poll::Ready(Some(Err(streamed.blame(BodyFault::TooLarge))));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.as_ref().is_none_or(|streamed| streamed.lock().body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => SizeHint::with_exact(self.first.len() as u64),
            Some(streamed) => streamed.length.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/provider/payload.rs"]
mod tests;
