//! The bounds of gRPC messages that come in over the network: their length, their pace, and their bytes in memory. A
//! message is a byte that says whether it is compressed, its length in four bytes, and its bytes (gRPC over HTTP/2).
//!
//! Passes the bytes on as they are. Never decodes a message.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use merit_listener::{Holder, Share, Shares};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;
use tonic::codegen::Bytes;
use tonic::codegen::http::Request;

/// Longest message to most methods, in bytes: as most gRPC servers take.
const MESSAGE_MAX_BYTES: usize = 4 << 20;
/// Longest message of a provider after its logon, in bytes.
pub(crate) const PROVIDER_MAX_BYTES: usize = 1 << 20;
/// Longest logon of a provider, and longest question about the protocol, in bytes: anybody may send them.
const STRANGER_MAX_BYTES: usize = 64 << 10;
/// Longest upload, in bytes: a module with room around it.
pub(crate) const UPLOAD_MAX_BYTES: usize = merit_module::MODULE_MAX_BYTES + (1 << 20);
/// Bytes of messages in memory, of one holder and of all.
const HOLDER_MAX_BYTES: usize = 96 << 20;
const ALL_MAX_BYTES: usize = 256 << 20;
/// Messages up to this length, in bytes, are exempt from the quota.
const UNCOUNTED_MAX_BYTES: usize = 16 << 10;
/// Timeout of a message: 30 s, plus 1 s for every 16 KB.
const PAUSES_WITHIN: Duration = Duration::from_secs(30);
const BYTES_A_SECOND_MIN: usize = 16 << 10;

/// Bytes before a message: flags and length.
const PREFIX_BYTES: usize = 5;
/// Decoded bytes of one byte of gzip, at most: the limit of DEFLATE (RFC 1951).
const INFLATED_MAX: usize = 1_032;

/// The quota on bytes of messages in memory. Clones share it.
#[derive(Clone)]
pub(super) struct MessageQuota(Shares<Holder>);

impl Default for MessageQuota {
    fn default() -> MessageQuota {
        MessageQuota(Shares::half_for_peers(HOLDER_MAX_BYTES, ALL_MAX_BYTES))
    }
}

/// The bounds of one method's messages.
#[derive(Clone, Copy)]
struct Bounds {
    first_max: usize,
    /// Longest of the later ones. None for a method that takes one message.
    later_max: Option<usize>,
    /// True for a stream that is open as long as its caller lives. Others have to go on, or end.
    may_pause: bool,
}

impl Bounds {
    fn of(path: &str) -> Bounds {
        match path {
            "/merit.v1.ProviderGateway/Session" => {
                Bounds { first_max: STRANGER_MAX_BYTES, later_max: Some(PROVIDER_MAX_BYTES), may_pause: true }
            }
            "/merit.v1.Brokerage/Stream" => {
                Bounds { first_max: MESSAGE_MAX_BYTES, later_max: Some(MESSAGE_MAX_BYTES), may_pause: true }
            }
            "/merit.v1.Modules/Put" => Bounds { first_max: UPLOAD_MAX_BYTES, later_max: None, may_pause: false },
            reflection if reflection.starts_with("/grpc.reflection.") => {
                Bounds { first_max: STRANGER_MAX_BYTES, later_max: Some(STRANGER_MAX_BYTES), may_pause: false }
            }
            _ => Bounds { first_max: MESSAGE_MAX_BYTES, later_max: None, may_pause: false },
        }
    }

    /// Returns the longest message after `messages` others. None if there may be no further one.
    fn longest(&self, messages: u64) -> Option<usize> {
        if messages == 0 { Some(self.first_max) } else { self.later_max }
    }
}

/// The share of a call's messages in the quota. Until it is dropped, or a stream's message has come whole.
type Held = Arc<Mutex<Option<Share<Holder>>>>;

/// The messages of one call.
pub(super) struct Messages<B> {
    body: B,
    quota: MessageQuota,
    holder: Holder,
    bounds: Bounds,
    position: Position,
    held: Held,
    /// Set while the caller has to go on.
    until: Option<Pin<Box<Sleep>>>,
    /// Set between frames: the time until the next poll is not the caller's.
    taken_at: Option<Instant>,
}

/// The position in the messages of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    messages: u64,
    /// Bytes of the prefix that came, and the length so far.
    prefix: usize,
    is_compressed: bool,
    length: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl<B: Body> Messages<B> {
    /// Follows the messages of a request. Returns it with what it holds, which is to be kept until the answer: a method
    /// with one message has it in memory until then.
    pub(super) fn follow(request: Request<B>, holder: Holder, quota: &MessageQuota) -> (Request<Messages<B>>, Held) {
        let (bounds, held) = (Bounds::of(request.uri().path()), Held::default());
        let (quota, position, kept) = (quota.clone(), Position::default(), held.clone());
        let request = request.map(|body| {
            let until = (!body.is_end_stream()).then(|| Box::pin(sleep(PAUSES_WITHIN)));
            Messages { body, quota, holder, bounds, position, held, until, taken_at: None }
        });
        (request, kept)
    }

    /// Follows bytes that came.
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        while let Some((&first, rest)) = bytes.split_first() {
            let position = &mut self.position;
            if position.left > 0 {
                let came = position.left.min(bytes.len());
                position.left -= came;
                bytes = &bytes[came..];
                if position.length > UNCOUNTED_MAX_BYTES {
                    self.hold(came)?;
                }
                self.finish()?;
                continue;
            }
            bytes = rest;
            position.prefix += 1;
            match position.prefix {
                1 => {
                    position.is_compressed = first != 0;
                    self.wait_for(0);
                }
                _ => position.length = position.length << 8 | usize::from(first),
            }
            if self.position.prefix == PREFIX_BYTES {
                self.begin()?;
            }
        }
        Ok(())
    }

    /// Begins a message whose prefix has come.
    fn begin(&mut self) -> Result<(), Status> {
        let length = self.position.length;
        let Some(most) = self.bounds.longest(self.position.messages) else {
            return Err(Status::invalid_argument("a second message; this method takes one"));
        };
        if length > most {
            let message = format!("a message of {length} bytes; at most {most} are taken here");
            return Err(Status::resource_exhausted(message));
        }
        self.position.left = length;
        self.wait_for(length);
        self.finish()
    }

    /// Gives the caller time for `bytes` more.
    fn wait_for(&mut self, bytes: usize) {
        let until = Instant::now() + PAUSES_WITHIN + Duration::from_secs((bytes / BYTES_A_SECOND_MIN) as u64);
        match &mut self.until {
            Some(waits) => waits.as_mut().reset(until),
            None => self.until = Some(Box::pin(tokio::time::sleep_until(until))),
        }
    }

    /// Ends the message if all of it has come.
    fn finish(&mut self) -> Result<(), Status> {
        let Position { messages, is_compressed, length, left, .. } = self.position;
        if left > 0 {
            return Ok(());
        }
        match self.bounds {
            Bounds { later_max: Some(_), .. } => *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None,
            // It is decoded now.
            Bounds { first_max, .. } if is_compressed => self.hold(first_max.min(length * INFLATED_MAX))?,
            _ => {}
        }
        self.position = Position { messages: messages + 1, ..Position::default() };
        match self.bounds.may_pause {
            true => self.until = None,
            false => self.wait_for(0),
        }
        Ok(())
    }

    fn hold(&mut self, more: usize) -> Result<(), Status> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let grown = match &mut *held {
            Some(share) => share.grow(more),
            None => self.quota.0.take(self.holder.clone(), more).map(|share| *held = Some(share)),
        };
        grown.map_err(|_| Status::resource_exhausted("too many bytes of messages are in memory here; try again"))
    }

    /// Adds the time since the last frame to the caller's: it was spent here.
    fn take_up(&mut self) {
        if let (Some(taken_at), Some(until)) = (self.taken_at.take(), &mut self.until) {
            let until_then = until.deadline() + taken_at.elapsed();
            until.as_mut().reset(until_then);
        }
    }
}

impl<B> Body for Messages<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.take_up();
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending() {
            if let Some(until) = &mut self.until {
                ready!(until.as_mut().poll(context));
                return Poll::Ready(Some(Err(Status::deadline_exceeded("the rest of the call did not come in time"))));
            }
            return Poll::Pending;
        }
        let frame = match ready!(polled) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Some(Ok(frame)) => frame,
        };
        if let Some(bytes) = frame.data_ref() {
            let bytes = bytes.clone();
            if let Err(refused) = self.pass(&bytes) {
                return Poll::Ready(Some(Err(refused)));
            }
            self.taken_at = Some(Instant::now());
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[path = "../../tests/unit/serve/messages.rs"]
mod tests;
