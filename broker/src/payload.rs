//! A call's payload: whole where it is small, else its beginning and the rest as it comes.
//!
//! Owns what a retry needs to know: a payload of which more than the beginning was sent cannot be sent again. What goes
//! wrong with it is the caller's fault, never the provider's.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use crate::BUFFERED_MAX_BYTES;
use crate::error::ApiError;

/// How long a caller may take for the next part of its payload.
const NEXT_WITHIN: Duration = Duration::from_secs(30);

/// How much of a payload that is refused is read, and for how long.
const DRAINED_MAX_BYTES: usize = 32 << 20;
const DRAINED_WITHIN: Duration = Duration::from_secs(5);

/// What is sent to the function. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Whole(Bytes),
    Streamed(Arc<Streamed>),
}

#[derive(Debug)]
pub(crate) struct Streamed {
    first: Bytes,
    /// Its whole length, if the caller said it.
    length: Option<u64>,
    max_bytes: usize,
    rest: Mutex<Rest>,
    /// What is wrong with it; 0: nothing yet.
    fault: AtomicU8,
}

#[derive(Debug)]
struct Rest {
    body: Body,
    /// How much came of it.
    bytes: usize,
    touched: bool,
    /// Which attempt may read it: an earlier one, whose connection may live on, gets no more of it.
    attempt: u32,
}

/// What a caller did wrong with its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PayloadFault {
    #[error("the payload is too large")]
    TooLarge = 1,
    #[error("the payload broke off")]
    BrokeOff = 2,
    #[error("the payload came too slowly")]
    TooSlow = 3,
}

impl PayloadFault {
    pub(crate) fn error(self, max_bytes: usize) -> ApiError {
        match self {
            PayloadFault::TooLarge => ApiError::too_large("payload", max_bytes),
            PayloadFault::BrokeOff => ApiError::malformed("the payload broke off before its end"),
            PayloadFault::TooSlow => {
                let message = format!("no further part of the payload came within {} s", NEXT_WITHIN.as_secs());
                ApiError::new(http::StatusCode::REQUEST_TIMEOUT, "payload_timeout", message)
            }
        }
    }
}

impl Payload {
    /// Reads as much of `body` as is kept. Refuses one that says to be, or turns out to be, above `max_bytes`.
    pub(crate) async fn read(body: Body, max_bytes: usize) -> Result<Payload, ApiError> {
        let (first, rest) = beginning(body, max_bytes, BUFFERED_MAX_BYTES).await?;
        let Some(body) = rest else { return Ok(Payload::Whole(first)) };
        let length = HttpBody::size_hint(&body).exact().map(|rest| rest + first.len() as u64);
        let rest = Mutex::new(Rest { body, bytes: first.len(), touched: false, attempt: 0 });
        Ok(Payload::Streamed(Arc::new(Streamed { first, length, max_bytes, rest, fault: AtomicU8::new(0) })))
    }

    /// Reads the whole of `body`, at most `max_bytes`.
    pub(crate) async fn read_whole(body: Body, max_bytes: usize) -> Result<Bytes, ApiError> {
        Ok(beginning(body, max_bytes, max_bytes).await?.0)
    }

    /// What an attempt sends.
    pub(crate) fn body(&self) -> Outgoing {
        match self {
            Payload::Whole(bytes) => Outgoing { first: bytes.clone(), rest: None, attempt: 0, slow: None },
            Payload::Streamed(streamed) => {
                let mut rest = streamed.lock();
                rest.attempt += 1;
                let attempt = rest.attempt;
                Outgoing { first: streamed.first.clone(), rest: Some(streamed.clone()), attempt, slow: None }
            }
        }
    }

    /// Whether the caller has more of it to send.
    pub(crate) fn is_unfinished(&self) -> bool {
        matches!(self, Payload::Streamed(streamed) if !streamed.lock().body.is_end_stream())
    }

    /// Whether part of it is gone, so that it cannot be sent again.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(self, Payload::Streamed(streamed) if streamed.lock().touched)
    }

    /// What the caller did wrong with it meanwhile.
    pub(crate) fn fault(&self) -> Option<ApiError> {
        let Payload::Streamed(streamed) = self else { return None };
        let fault = match streamed.fault.load(Ordering::Relaxed) {
            0 => return None,
            1 => PayloadFault::TooLarge,
            2 => PayloadFault::BrokeOff,
            _ => PayloadFault::TooSlow,
        };
        Some(fault.error(streamed.max_bytes))
    }
}

/// The body up to `kept` bytes, and the rest of it if there is more.
async fn beginning(mut body: Body, max_bytes: usize, kept: usize) -> Result<(Bytes, Option<Body>), ApiError> {
    if HttpBody::size_hint(&body).lower() > max_bytes as u64 {
        drain(body).await;
        return Err(PayloadFault::TooLarge.error(max_bytes));
    }
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while !body.is_end_stream() {
        let Ok(frame) = tokio::time::timeout(NEXT_WITHIN, body.frame()).await else {
            return Err(PayloadFault::TooSlow.error(max_bytes));
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| PayloadFault::BrokeOff.error(max_bytes))?;
        let Ok(bytes) = frame.into_data() else { continue };
        let length = first.len() + more.len() + bytes.len();
        if length > max_bytes {
            drain(body).await;
            return Err(PayloadFault::TooLarge.error(max_bytes));
        }
        // Most payloads are one frame: it is passed on as it came.
        if first.is_empty() && more.is_empty() {
            first = bytes;
        } else {
            if more.is_empty() {
                more.extend_from_slice(&std::mem::take(&mut first));
            }
            more.extend_from_slice(&bytes);
        }
        if length > kept {
            let first = if more.is_empty() { first } else { more.freeze() };
            return Ok((first, Some(body)));
        }
    }
    Ok((if more.is_empty() { first } else { more.freeze() }, None))
}

/// Reads on for a while, so that a client that first sends everything hears why it is refused.
async fn drain(mut body: Body) {
    let reading = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await
            && bytes < DRAINED_MAX_BYTES
        {
            bytes += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // What comes later is not waited for.
    drop(tokio::time::timeout(DRAINED_WITHIN, reading).await);
}

impl Streamed {
    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blame(&self, fault: PayloadFault) -> PayloadFault {
        self.fault.store(fault as u8, Ordering::Relaxed);
        fault
    }
}

/// The body of the request of one attempt.
pub(crate) struct Outgoing {
    first: Bytes,
    rest: Option<Arc<Streamed>>,
    attempt: u32,
    /// Runs while the caller's next part is waited for.
    slow: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = PayloadFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PayloadFault>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(streamed) = self.rest.clone() else { return Poll::Ready(None) };
        let mut rest = streamed.lock();
        if rest.attempt != self.attempt {
            return Poll::Ready(Some(Err(PayloadFault::BrokeOff)));
        }
        rest.touched = true;
        let polled = Pin::new(&mut rest.body).poll_frame(context);
        if polled.is_pending() {
            let slow = self.slow.get_or_insert_with(|| Box::pin(tokio::time::sleep(NEXT_WITHIN)));
            ready!(slow.as_mut().poll(context));
            return Poll::Ready(Some(Err(streamed.blame(PayloadFault::TooSlow))));
        }
        self.slow = None;
        let frame = match ready!(polled) {
            None => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(streamed.blame(PayloadFault::BrokeOff)))),
            Some(Ok(frame)) => frame,
        };
        rest.bytes += frame.data_ref().map_or(0, Bytes::len);
        if rest.bytes > streamed.max_bytes {
            return Poll::Ready(Some(Err(streamed.blame(PayloadFault::TooLarge))));
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
mod tests {
    use futures_util::stream;

    use super::*;

    fn body(parts: usize, bytes: usize) -> Body {
        let part = Bytes::from(vec![b'x'; bytes]);
        Body::from_stream(stream::iter((0..parts).map(move |_| Ok::<_, std::io::Error>(part.clone()))))
    }

    async fn sent(payload: &Payload) -> Result<usize, PayloadFault> {
        payload.body().collect().await.map(|body| body.to_bytes().len())
    }

    #[tokio::test]
    async fn a_small_payload_may_be_sent_again_and_again() {
        let payload = Payload::read(body(3, 1000), 1 << 20).await.unwrap();
        for _ in 0..3 {
            assert_eq!((sent(&payload).await, payload.is_spent()), (Ok(3000), false));
        }
    }

    #[tokio::test]
    async fn a_large_payload_is_sent_once() {
        let payload = Payload::read(body(10, 100_000), 1 << 20).await.unwrap();
        assert!(!payload.is_spent(), "only its beginning was read");
        assert_eq!((sent(&payload).await, payload.is_spent()), (Ok(1_000_000), true));
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_at_once_or_on_the_way() {
        let said = Payload::read(Body::from(vec![0; 1001]), 1000).await.unwrap_err();
        assert_eq!(said.status, http::StatusCode::PAYLOAD_TOO_LARGE);
        let payload = Payload::read(body(10, 200_000), 1_000_000).await.unwrap();
        assert_eq!(sent(&payload).await, Err(PayloadFault::TooLarge));
        assert_eq!(payload.fault().unwrap().status, http::StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_caller_is_cut() {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; 300_000]))]);
        let never = Body::from_stream(futures_util::StreamExt::chain(first, stream::pending()));
        let payload = Payload::read(never, 1_000_000).await.unwrap();
        assert_eq!(sent(&payload).await, Err(PayloadFault::TooSlow));
        let error = Payload::read(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()), 9).await;
        assert_eq!(error.unwrap_err().status, http::StatusCode::REQUEST_TIMEOUT);
    }
}
