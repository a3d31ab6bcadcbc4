//! Request bodies in memory: the pace at which they must come, and the quota on their bytes.
//!
//! Refuses a body that is too large, too slow, or beyond the quota. Never passes a body on.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::error::{ApiError, ErrorCode};
use merit_listener::{Holder, Share, Shares};

/// Rest in all that a body may take beyond the least pace.
const PAUSES_WITHIN: Duration = Duration::from_secs(30);
/// Least pace of a body, in bytes a second.
const BYTES_A_SECOND_MIN: u64 = 16 << 10;

/// Bytes of bodies in memory for one caller.
const CALLER_MAX_BYTES: usize = 128 << 20;
/// Bytes of bodies in memory for all callers.
const ALL_MAX_BYTES: usize = 512 << 20;
/// Bytes of bodies in memory for one visitor of public functions.
const VISITOR_MAX_BYTES: usize = 32 << 20;
/// Bytes of bodies in memory for all visitors, who take no room from callers.
const VISITORS_MAX_BYTES: usize = 128 << 20;
/// Size in bytes up to which a body is not counted: hardly more than the buffer of its connection.
const UNCOUNTED_MAX_BYTES: usize = 16 << 10;

/// A whole body. Its share of the quota is given back when all clones are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    _share: Option<Arc<Share<Holder>>>,
}

impl Deref for Held {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.bytes
    }
}

/// A caller's fault with its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    #[error("the payload is too large")]
    TooLarge,
    #[error("the payload broke off")]
    BrokeOff,
    #[error("the payload came too slowly")]
    TooSlow,
}

impl BodyFault {
    pub(crate) fn error(self, max_bytes: usize) -> ApiError {
        match self {
            BodyFault::TooLarge => ApiError::too_large("payload", max_bytes),
            BodyFault::BrokeOff => ApiError::malformed("the payload broke off before its end"),
            BodyFault::TooSlow => {
                let (rest, pace) = (PAUSES_WITHIN.as_secs(), BYTES_A_SECOND_MIN >> 10);
                let message =
                    format!("the payload came too slowly: it rested for more than {rest} s, beyond {pace} KB/s");
                ApiError::new(ErrorCode::PayloadTimeout, message)
            }
        }
    }
}

/// Makes the quota on the bodies of callers.
pub(crate) fn of_callers() -> Shares<Holder> {
    Shares::new(CALLER_MAX_BYTES, ALL_MAX_BYTES)
}

/// Makes the quota on the bodies of visitors.
pub(crate) fn of_visitors() -> Shares<Holder> {
    Shares::new(VISITOR_MAX_BYTES, VISITORS_MAX_BYTES)
}

/// The room of one body, taken as the body comes.
pub(crate) struct Room<'a> {
    quota: &'a Shares<Holder>,
    holder: Holder,
    share: Option<Share<Holder>>,
    counted: usize,
}

impl Room<'_> {
    pub(crate) fn new(quota: &Shares<Holder>, holder: Holder) -> Room<'_> {
        Room { quota, holder, share: None, counted: 0 }
    }

    /// Counts a body of which `bytes` are there. Refuses beyond the quota.
    fn hold(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes <= UNCOUNTED_MAX_BYTES || bytes <= self.counted {
            return Ok(());
        }
        let more = bytes - self.counted;
        let held = match &mut self.share {
            Some(share) => share.grow(more),
            None => self.quota.take(self.holder.clone(), more).map(|share| self.share = Some(share)),
        };
        held.map_err(|_| ApiError::overloaded("too much is held for callers here at present; try again shortly"))?;
        self.counted = bytes;
        Ok(())
    }
}

/// The pace of one body.
struct Pace {
    began: Instant,
}

impl Pace {
    /// Returns the time by which more must have come of a body of which `bytes` are there.
    fn until(&self, bytes: usize) -> Instant {
        let needed = Duration::from_millis(bytes as u64 * 1000 / BYTES_A_SECOND_MIN);
        self.began + PAUSES_WITHIN + needed
    }
}

/// Reads the whole body, of at most `max_bytes`.
pub(crate) async fn read(body: Body, max_bytes: usize, room: Room<'_>) -> Result<Held, ApiError> {
    Ok(read_up_to(body, max_bytes, max_bytes, Some(room)).await?.0)
}

/// Reads the whole body under a quota of the caller's own.
pub(crate) async fn read_uncounted(body: Body, max_bytes: usize) -> Result<Bytes, ApiError> {
    Ok(read_up_to(body, max_bytes, max_bytes, None).await?.0.bytes)
}

/// Reads the body until more than `buffer_bytes` are there. Returns the rest if there is one.
pub(crate) async fn read_beginning(
    body: Body,
    max_bytes: usize,
    buffer_bytes: usize,
    room: Room<'_>,
) -> Result<(Held, Option<Body>), ApiError> {
    read_up_to(body, max_bytes, buffer_bytes, Some(room)).await
}

async fn read_up_to(
    mut body: Body,
    max_bytes: usize,
    buffer_bytes: usize,
    mut room: Option<Room<'_>>,
) -> Result<(Held, Option<Body>), ApiError> {
    if HttpBody::size_hint(&body).lower() > max_bytes as u64 {
        return Err(BodyFault::TooLarge.error(max_bytes));
    }
    let pace = Pace { began: Instant::now() };
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while !body.is_end_stream() {
        let until = pace.until(first.len() + more.len());
        let Ok(frame) = tokio::time::timeout_at(until, body.frame()).await else {
            return Err(BodyFault::TooSlow.error(max_bytes));
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| BodyFault::BrokeOff.error(max_bytes))?;
        let Ok(bytes) = frame.into_data() else { continue };
        let length = first.len() + more.len() + bytes.len();
        if length > max_bytes {
            return Err(BodyFault::TooLarge.error(max_bytes));
        }
        room.as_mut().map(|room| room.hold(length)).transpose()?;
        // Most bodies are one frame, which is passed on without a copy.
        if first.is_empty() && more.is_empty() {
            first = bytes;
        } else {
            if more.is_empty() {
                more.extend_from_slice(&std::mem::take(&mut first));
            }
            more.extend_from_slice(&bytes);
        }
        if length > buffer_bytes {
            return Ok((held(first, more, room), Some(body)));
        }
    }
    Ok((held(first, more, room), None))
}

fn held(first: Bytes, more: BytesMut, room: Option<Room<'_>>) -> Held {
    let bytes = if more.is_empty() { first } else { more.freeze() };
    Held { bytes, _share: room.and_then(|room| room.share).map(Arc::new) }
}

#[cfg(test)]
#[path = "../../tests/unit/quota/bodies.rs"]
mod tests;
