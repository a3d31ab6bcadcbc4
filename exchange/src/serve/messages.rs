//! The bounds of gRPC messages that come in over the network: their length, their pace, and the bytes of unfinished
//! ones in memory. A message is a byte of flags, its length in four bytes, and the message (gRPC over HTTP/2).
//!
//! Passes the bytes on as they are. Never decodes a message.

use std::net::SocketAddr;
use std::pin::Pin;
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
/// Longest logon of a provider, in bytes: anybody may send one.
const LOGON_MAX_BYTES: usize = 64 << 10;
/// Longest upload, in bytes: a module with room around it.
pub(crate) const UPLOAD_MAX_BYTES: usize = merit_module::MODULE_MAX_BYTES + (1 << 20);
/// Bytes of unfinished messages in memory, of one peer and of all.
const PEER_MAX_BYTES: usize = 96 << 20;
const ALL_MAX_BYTES: usize = 256 << 20;
/// Length up to which a message is not counted: hardly more than the buffer of its stream.
const UNCOUNTED_MAX_BYTES: usize = 16 << 10;
/// Pace of a message: 30 s, and one more for so many bytes.
const PAUSES_WITHIN: Duration = Duration::from_secs(30);
const BYTES_A_SECOND_MIN: usize = 16 << 10;

/// Bytes before a message: flags and length.
const PREFIX_BYTES: usize = 5;

const SESSION: &str = "/merit.v1.ProviderGateway/Session";
const UPLOAD: &str = "/merit.v1.Modules/Put";

/// The quota on bytes of unfinished messages. Clones share it.
#[derive(Clone)]
pub(super) struct MessageQuota(Shares<Holder>);

impl Default for MessageQuota {
    fn default() -> MessageQuota {
        MessageQuota(Shares::new(PEER_MAX_BYTES, ALL_MAX_BYTES))
    }
}

/// The messages of one call.
pub(super) struct Messages<B> {
    body: B,
    quota: MessageQuota,
    holder: Holder,
    /// Longest first message, and longest of those after it.
    first_max: usize,
    later_max: usize,
    position: Position,
    /// The share of the unfinished message.
    share: Option<Share<Holder>>,
    /// Set while a message is unfinished.
    until: Option<Pin<Box<Sleep>>>,
}

/// The position in the messages of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    messages: u64,
    /// Bytes of the prefix that came, and the length so far.
    prefix: usize,
    length: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl<B> Messages<B> {
    /// Follows the messages of a request.
    pub(super) fn follow(request: Request<B>, quota: &MessageQuota) -> Request<Messages<B>> {
        let (first_max, later_max) = match request.uri().path() {
            SESSION => (LOGON_MAX_BYTES, PROVIDER_MAX_BYTES),
            UPLOAD => (UPLOAD_MAX_BYTES, 0),
            _ => (MESSAGE_MAX_BYTES, MESSAGE_MAX_BYTES),
        };
        let holder = Holder::Peer(request.extensions().get::<SocketAddr>().map(SocketAddr::ip));
        let (quota, position) = (quota.clone(), Position::default());
        request.map(|body| Messages { body, quota, holder, first_max, later_max, position, share: None, until: None })
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
                self.finish();
                continue;
            }
            bytes = rest;
            position.prefix += 1;
            if position.prefix > 1 {
                position.length = position.length << 8 | usize::from(first);
            }
            if position.prefix == PREFIX_BYTES {
                self.begin()?;
            }
        }
        let is_unfinished = self.position.prefix > 0;
        if is_unfinished && self.until.is_none() {
            let needed = Duration::from_secs((self.position.length / BYTES_A_SECOND_MIN) as u64);
            self.until = Some(Box::pin(sleep(PAUSES_WITHIN + needed)));
        }
        Ok(())
    }

    /// Begins a message whose prefix has come.
    fn begin(&mut self) -> Result<(), Status> {
        let most = if self.position.messages == 0 { self.first_max } else { self.later_max };
        if self.position.length > most {
            let message = format!("a message of {} bytes; at most {most} are taken here", self.position.length);
            return Err(Status::resource_exhausted(message));
        }
        self.position.left = self.position.length;
        if let Some(until) = &mut self.until {
            let needed = Duration::from_secs((self.position.length / BYTES_A_SECOND_MIN) as u64);
            until.as_mut().reset(Instant::now() + PAUSES_WITHIN + needed);
        }
        self.finish();
        Ok(())
    }

    /// Ends the message if all of it has come.
    fn finish(&mut self) {
        if self.position.left == 0 {
            self.position = Position { messages: self.position.messages + 1, ..Position::default() };
            (self.share, self.until) = (None, None);
        }
    }

    fn hold(&mut self, more: usize) -> Result<(), Status> {
        let held = match &mut self.share {
            Some(share) => share.grow(more),
            None => self.quota.0.take(self.holder.clone(), more).map(|share| self.share = Some(share)),
        };
        held.map_err(|_| Status::resource_exhausted("too many bytes of messages are on their way here; try again"))
    }
}

impl<B> Body for Messages<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending() {
            if let Some(until) = &mut self.until {
                ready!(until.as_mut().poll(context));
                return Poll::Ready(Some(Err(Status::deadline_exceeded("the rest of a message did not come in time"))));
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
