//! The bodies of requests. A call's payload: whole where it is small, else its beginning and the rest as it comes.
//!
//! Owns what a retry needs to know: a payload of which more than the beginning was sent cannot be sent again. What goes
//! wrong with it is the caller's fault, never the provider's. Owns also what bodies that are held may cost: how slowly
//! they may come, and how many bytes there are of them at once.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::BUFFERED_MAX_BYTES;
use crate::error::ApiError;
use crate::quota::shares::{Holder, Share, Shares};

/// How long a caller may take for the next part of its payload.
const NEXT_WITHIN: Duration = Duration::from_secs(30);
/// What a body that is held may take beyond what it needs at the slowest pace, and that pace.
const PAUSES_WITHIN: Duration = NEXT_WITHIN;
const BYTES_A_SECOND_MIN: u64 = 16 << 10;

/// What one caller may have held of bodies at once, and all together.
const CALLER_MAX_BYTES: usize = 128 << 20;
const ALL_MAX_BYTES: usize = 512 << 20;
/// The same of those who call public functions, who take no room from others.
const VISITOR_MAX_BYTES: usize = 32 << 20;
const VISITORS_MAX_BYTES: usize = 128 << 20;
/// A body up to this is not counted: it is hardly more than its connection's own buffer, and those are bounded.
const UNCOUNTED_MAX_BYTES: usize = 16 << 10;

/// What is sent to the function. Clones share it.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Whole(Held),
    Streamed(Arc<Streamed>),
}

/// A body that is whole, and counted until all its clones are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    bytes: Bytes,
    _share: Option<Arc<Share<Holder>>>,
}

impl Deref for Held {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// What counts bodies that are held.
pub(crate) fn buffers() -> Shares<Holder> {
    Shares::new(CALLER_MAX_BYTES, ALL_MAX_BYTES)
}

/// The room for the bodies of visitors.
pub(crate) fn visitors_buffers() -> Shares<Holder> {
    Shares::new(VISITOR_MAX_BYTES, VISITORS_MAX_BYTES)
}

/// Room for one body, taken as it comes.
pub(crate) struct Room<'a> {
    buffers: &'a Shares<Holder>,
    request: &'a Parts,
    share: Option<Share<Holder>>,
    counted: usize,
}

impl<'a> Room<'a> {
    /// For the body of this request.
    pub(crate) fn new(buffers: &'a Shares<Holder>, request: &'a Parts) -> Room<'a> {
        Room { buffers, request, share: None, counted: 0 }
    }

    /// Counts a body of which so many bytes are there. Refuses it where there is no room; nothing waits for any.
    fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes <= UNCOUNTED_MAX_BYTES || bytes <= self.counted {
            return Ok(());
        }
        let more = bytes - self.counted;
        let held = match &mut self.share {
            Some(share) => share.grow(more),
            None => self.buffers.take(Holder::of(self.request), more).map(|share| self.share = Some(share)),
        };
        held.map_err(|_| ApiError::overloaded("too much is held for callers here at present; try again shortly"))?;
        self.counted = bytes;
        Ok(())
    }
}

/// Whether a body comes fast enough to be held.
struct Pace {
    began: Instant,
}

impl Pace {
    /// By when more must have come of a body of which so many bytes are there.
    fn until(&self, bytes: usize) -> Instant {
        let needed = Duration::from_millis(bytes as u64 * 1000 / BYTES_A_SECOND_MIN);
        self.began + PAUSES_WITHIN + needed
    }
}

#[derive(Debug)]
pub(crate) struct Streamed {
    first: Held,
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
                let (rest, pace) = (PAUSES_WITHIN.as_secs(), BYTES_A_SECOND_MIN >> 10);
                let message =
                    format!("the payload came too slowly: it rested for more than {rest} s, beyond {pace} KB/s");
                ApiError::new(http::StatusCode::REQUEST_TIMEOUT, "payload_timeout", message)
            }
        }
    }
}

impl Payload {
    /// Reads as much of `body` as is kept. Refuses one that says to be, or turns out to be, above `max_bytes`.
    pub(crate) async fn read(body: Body, max_bytes: usize, room: Room<'_>) -> Result<Payload, ApiError> {
        let (first, rest) = beginning(body, max_bytes, BUFFERED_MAX_BYTES, Some(room)).await?;
        let Some(body) = rest else { return Ok(Payload::Whole(first)) };
        let length = HttpBody::size_hint(&body).exact().map(|rest| rest + first.len() as u64);
        let rest = Mutex::new(Rest { body, bytes: first.len(), touched: false, attempt: 0 });
        Ok(Payload::Streamed(Arc::new(Streamed { first, length, max_bytes, rest, fault: AtomicU8::new(0) })))
    }

    /// Reads the whole of `body`, at most `max_bytes`.
    pub(crate) async fn read_whole(body: Body, max_bytes: usize, room: Room<'_>) -> Result<Held, ApiError> {
        Ok(beginning(body, max_bytes, max_bytes, Some(room)).await?.0)
    }

    /// The same where the one who asks counts what is held.
    pub(crate) async fn read_unproven(body: Body, max_bytes: usize) -> Result<Bytes, ApiError> {
        Ok(beginning(body, max_bytes, max_bytes, None).await?.0.bytes)
    }

    /// What an attempt sends.
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
async fn beginning(
    mut body: Body,
    max_bytes: usize,
    kept: usize,
    mut room: Option<Room<'_>>,
) -> Result<(Held, Option<Body>), ApiError> {
    if HttpBody::size_hint(&body).lower() > max_bytes as u64 {
        return Err(PayloadFault::TooLarge.error(max_bytes));
    }
    let pace = Pace { began: Instant::now() };
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while !body.is_end_stream() {
        let until = pace.until(first.len() + more.len());
        let Ok(frame) = tokio::time::timeout_at(until, body.frame()).await else {
            return Err(PayloadFault::TooSlow.error(max_bytes));
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| PayloadFault::BrokeOff.error(max_bytes))?;
        let Ok(bytes) = frame.into_data() else { continue };
        let length = first.len() + more.len() + bytes.len();
        if length > max_bytes {
            return Err(PayloadFault::TooLarge.error(max_bytes));
        }
        room.as_mut().map(|room| room.hold(length)).transpose()?;
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
            return Ok((held(first, more, room), Some(body)));
        }
    }
    Ok((held(first, more, room), None))
}

fn held(first: Bytes, more: BytesMut, room: Option<Room<'_>>) -> Held {
    let bytes = if more.is_empty() { first } else { more.freeze() };
    Held { bytes, _share: room.and_then(|room| room.share).map(Arc::new) }
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

    fn request() -> Parts {
        http::Request::new(()).into_parts().0
    }

    async fn read(body: Body, max_bytes: usize) -> Result<Payload, ApiError> {
        Payload::read(body, max_bytes, Room::new(&buffers(), &request())).await
    }

    async fn sent(payload: &Payload) -> Result<usize, PayloadFault> {
        payload.body().collect().await.map(|body| body.to_bytes().len())
    }

    #[tokio::test]
    async fn a_small_payload_may_be_sent_again_and_again() {
        let payload = read(body(3, 1000), 1 << 20).await.unwrap();
        for _ in 0..3 {
            assert_eq!((sent(&payload).await, payload.is_spent()), (Ok(3000), false));
        }
    }

    #[tokio::test]
    async fn a_large_payload_is_sent_once() {
        let payload = read(body(10, 100_000), 1 << 20).await.unwrap();
        assert!(!payload.is_spent(), "only its beginning was read");
        assert_eq!((sent(&payload).await, payload.is_spent()), (Ok(1_000_000), true));
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_at_once_or_on_the_way() {
        let said = read(Body::from(vec![0; 1001]), 1000).await.unwrap_err();
        assert_eq!(said.status, http::StatusCode::PAYLOAD_TOO_LARGE);
        let payload = read(body(10, 200_000), 1_000_000).await.unwrap();
        assert_eq!(sent(&payload).await, Err(PayloadFault::TooLarge));
        assert_eq!(payload.fault().unwrap().status, http::StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_caller_is_cut() {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; 300_000]))]);
        let never = Body::from_stream(futures_util::StreamExt::chain(first, stream::pending()));
        let payload = read(never, 1_000_000).await.unwrap();
        assert_eq!(sent(&payload).await, Err(PayloadFault::TooSlow));
        let error = read(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()), 9).await;
        assert_eq!(error.unwrap_err().status, http::StatusCode::REQUEST_TIMEOUT);
    }

    /// A body of parts that come one by one, so many seconds apart.
    fn dripping(parts: usize, bytes: usize, apart: Duration) -> Body {
        let part = Bytes::from(vec![b'x'; bytes]);
        Body::from_stream(futures_util::StreamExt::then(stream::iter(0..parts), move |_| {
            let part = part.clone();
            async move {
                tokio::time::sleep(apart).await;
                Ok::<_, std::io::Error>(part)
            }
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_cut_and_one_that_only_is_slow_is_not() {
        let check = async |parts, bytes, apart, expected: Result<usize, u16>| {
            let began = Instant::now();
            let body = dripping(parts, bytes, Duration::from_secs(apart));
            let read = Payload::read_whole(body, 1 << 20, Room::new(&buffers(), &request())).await;
            let read = read.map(|held| held.len()).map_err(|error| error.status.as_u16());
            assert_eq!(read, expected, "{bytes} bytes each {apart} s");
            began.elapsed()
        };
        assert!(check(1000, 1, 1, Err(408)).await < PAUSES_WITHIN * 2);
        assert!(check(1000, 1024, 1, Err(408)).await < PAUSES_WITHIN * 2);
        check(60, 16 << 10, 1, Ok(60 << 14)).await;
        check(3, 10, 9, Ok(30)).await;
        check(2, 10, 29, Err(408)).await;
        check(0, 0, 0, Ok(0)).await;
    }

    #[tokio::test]
    async fn bodies_have_room_until_they_are_dropped_and_none_waits() {
        let (buffers, request) = (Shares::new(1_000_000, 1_500_000), request());
        let read = async |bytes| Payload::read(body(1, bytes), 6 << 20, Room::new(&buffers, &request)).await;
        let first = read(200_000).await.unwrap();
        let second = read(700_000).await.unwrap();
        assert!(matches!((&first, &second), (Payload::Whole(_), Payload::Streamed(_))));
        let refused = read(200_000).await.unwrap_err();
        assert_eq!(
            (refused.status.as_u16(), refused.code.as_str(), refused.retry_after_s),
            (503, "overloaded", Some(1))
        );
        assert!(read(UNCOUNTED_MAX_BYTES).await.is_ok(), "small ones are not counted");
        drop(first.clone());
        assert!(read(200_000).await.is_err(), "a clone shares it");
        drop(first);
        assert!(read(200_000).await.is_ok());
    }
}
