//! The delivery of a run's answer: if it is dropped before the connection took all of it, the session is told. Never
//! sends the answer again.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::HttpBody;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use merit_terms::LeaseId;

use crate::session::{RunEvent, RunEvents};

/// An answer on its way. If it is dropped before it is done, it was not delivered.
pub(crate) struct Delivery {
    lease: LeaseId,
    /// `None` after it is done.
    runs: Option<RunEvents>,
}

impl Delivery {
    pub(crate) fn of(lease: LeaseId, runs: RunEvents) -> Delivery {
        Delivery { lease, runs: Some(runs) }
    }

    fn done(&mut self) {
        self.runs = None;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(runs) = self.runs.take() {
            // A full queue means that the session lags behind; it then claims less.
            drop(runs.try_send(RunEvent::Undelivered(self.lease)));
        }
    }
}

/// The body of an answer, with its delivery.
pub(crate) struct AnswerBody {
    bytes: Full<Bytes>,
    delivery: Delivery,
}

impl AnswerBody {
    /// Makes the body of an answer. An empty one counts as delivered, because its sending cannot be seen.
    pub(crate) fn new(bytes: Bytes, mut delivery: Delivery) -> AnswerBody {
        if bytes.is_empty() {
            delivery.done();
        }
        AnswerBody { bytes: Full::new(bytes), delivery }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.bytes).poll_frame(context);
        if self.bytes.is_end_stream() {
            self.delivery.done();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        HttpBody::size_hint(&self.bytes)
    }
}

#[cfg(test)]
#[path = "../tests/unit/delivery.rs"]
mod tests;
