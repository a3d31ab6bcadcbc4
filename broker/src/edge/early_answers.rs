//! Early answers: an answer that comes before the end of the request's body reaches the client nevertheless.
//!
//! Closing a connection, or resetting a stream, while its client still sends may destroy the answer. So the rest of the
//! body is read and thrown away for a while, beside the answer, which does not wait for it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Version, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use merit_listener::UnderWay;

/// Bytes of the rest that are read.
const MAX_BYTES: usize = 32 << 20;
/// Time for which the rest is read.
const WITHIN: Duration = Duration::from_secs(5);

/// A request's body. Its rest is read for a while after it is dropped.
pub(super) struct Unread {
    /// None once its end was seen or it broke.
    body: Option<Incoming>,
    /// Set while the client waits for `100 Continue`, and so knows what an early answer means.
    waits: bool,
    /// Keeps the connection open for the rest.
    under_way: Option<UnderWay>,
}

impl Unread {
    /// Wraps the body of `request`.
    pub(super) fn of(request: http::Request<Incoming>) -> http::Request<Unread> {
        let waits = request.version() == Version::HTTP_11 && request.headers().contains_key(header::EXPECT);
        let under_way = request.extensions().get::<UnderWay>().cloned();
        request.map(|body| Unread { body: Some(body), waits, under_way })
    }
}

impl Body for Unread {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !self.waits && !body.is_end_stream()) else { return };
        // There is no runtime only where the whole process ends.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let under_way = self.under_way.take();
        runtime.spawn(async move {
            drop(tokio::time::timeout(WITHIN, read_on(body)).await);
            drop(under_way);
        });
    }
}

async fn read_on(mut body: Incoming) {
    let mut bytes = 0;
    while bytes < MAX_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
}
