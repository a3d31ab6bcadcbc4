//! Whether the answer of a run got out: what drops it before the connection took the whole of it tells the session.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::HttpBody;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};
use merit_terms::LeaseId;

use crate::session::{Ran, Runs};

/// An answer on its way. Dropped before it is done, it was not delivered.
pub(crate) struct Delivery {
    lease: LeaseId,
    /// None once it is done.
    runs: Option<Runs>,
}

impl Delivery {
    pub(crate) fn of(lease: LeaseId, runs: Runs) -> Delivery {
        Delivery { lease, runs: Some(runs) }
    }

    fn done(&mut self) {
        self.runs = None;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(runs) = self.runs.take() {
            // A session that hears nothing has more to do than this claim.
            drop(runs.try_send(Ran::Undelivered(self.lease)));
        }
    }
}

/// The body of an answer, with its delivery.
pub(crate) struct Output {
    bytes: Full<Bytes>,
    delivery: Delivery,
}

impl Output {
    /// Of an answer without a body nothing is seen; it counts as delivered.
    pub(crate) fn new(bytes: Bytes, mut delivery: Delivery) -> Output {
        if bytes.is_empty() {
            delivery.done();
        }
        Output { bytes: Full::new(bytes), delivery }
    }
}

impl HttpBody for Output {
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
mod tests {
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;

    use super::*;

    const LEASE: LeaseId = LeaseId { run: 1, sequence: 7 };

    fn output(bytes: &'static str) -> (Output, mpsc::Receiver<Ran>) {
        let (runs, ran) = mpsc::channel(1);
        (Output::new(Bytes::from_static(bytes.as_bytes()), Delivery::of(LEASE, runs)), ran)
    }

    #[tokio::test]
    async fn an_answer_that_was_taken_is_delivered() {
        let (output, mut ran) = output("done");
        assert_eq!(HttpBody::size_hint(&output).exact(), Some(4));
        assert_eq!(output.collect().await.unwrap().to_bytes(), "done");
        assert!(ran.recv().await.is_none());
    }

    #[tokio::test]
    async fn an_answer_that_is_dropped_before_is_told_undelivered() {
        let (output, mut ran) = output("done");
        drop(output);
        assert!(matches!(ran.recv().await, Some(Ran::Undelivered(LEASE))));
    }
}
