//! One connection: its handshake, its requests as HTTP/1.1 or HTTP/2, and its end.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;

use crate::framing::{HEAD_MAX_BYTES, Heads};
use crate::limits::{Limits, Protocols};
pub use crate::slots::UnderWay;
use crate::slots::{Activity, Slot};
pub use crate::slow_readers::AnswerBody;
use crate::slow_readers::{READ_WITHIN, SlowReader, WatchedWrites};
use crate::tls::ServerTls;

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Send buffer of an HTTP/2 stream, in bytes.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Time that a client has to take note that its idle connection is being closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The end of a connection.
type Served = Result<(), Box<dyn Error + Send + Sync>>;

/// The answers of a port. The peer's `SocketAddr` is an extension of each request, and [`UnderWay`] of one with a body:
/// who reads on after the answer keeps it until then.
pub trait Answer: Clone + Send + Sync + 'static {
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers a request.
    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Answers an HTTP/1 request whose framing is refused. Its connection is closed afterwards.
    fn refuse(
        &self,
        request: Request<Incoming>,
        fault: &'static str,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A port, as its connections see it.
pub(crate) struct Port<A> {
    limits: Limits,
    tls: Option<Arc<ServerTls>>,
    builder: auto::Builder<TokioExecutor>,
    answer: A,
    stopping: CancellationToken,
}

impl<A: Answer> Port<A> {
    pub(crate) fn new(limits: Limits, tls: Option<Arc<ServerTls>>, answer: A, stopping: CancellationToken) -> Port<A> {
        Port { limits, tls, builder: builder(&limits), answer, stopping }
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve(self: Arc<Port<A>>, stream: TcpStream, from: SocketAddr, slot: Slot) {
        let activity = Arc::clone(&slot.activity);
        let served = match self.tls.clone() {
            None => self.serve_stream(stream, from, activity).await,
            Some(tls) => {
                let accepted = tokio::select! {
                    accepted = tls.accept(stream) => accepted,
                    () = slot.activity.closed_for_others() => return,
                    () = self.stopping.cancelled() => return,
                };
                match accepted {
                    Ok(stream) => self.serve_stream(stream, from, activity).await,
                    Err(error) => Err(error.into()),
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%from, %error, "a connection broke");
        }
    }

    pub(crate) async fn serve_stream<S>(
        self: Arc<Port<A>>,
        stream: S,
        from: SocketAddr,
        activity: Arc<Activity>,
    ) -> Served
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (heads, reader) = (Heads::default(), SlowReader::default());
        let io = io(WatchedWrites::new(heads.follow(stream), Arc::clone(&activity)));
        let service = {
            let (port, activity, reader) = (Arc::clone(&self), Arc::clone(&activity), reader.clone());
            service_fn(move |mut request: Request<Incoming>| {
                let under_way = activity.begin();
                request.extensions_mut().insert(from);
                if !request.body().is_end_stream() {
                    request.extensions_mut().insert(under_way.clone());
                }
                let fault = fault(&request, heads.is_certain(&request));
                let (port, reader) = (Arc::clone(&port), reader.clone());
                async move {
                    let is_http_2 = request.version() == Version::HTTP_2;
                    let response = match fault {
                        None => port.answer.answer(request).await,
                        Some(fault) => {
                            let mut refused = port.answer.refuse(request, fault).await;
                            refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                            refused
                        }
                    };
                    let body = |body| AnswerBody::new(body, is_http_2.then_some(reader), under_way);
                    Ok::<_, Infallible>(response.map(body))
                }
            })
        };
        let serving = self.builder.serve_connection(io, service).into_owned();
        tokio::pin!(serving);
        let (mut is_draining, mut close_at) = (false, None);
        loop {
            let closing = async { sleep_until(close_at.unwrap_or_else(Instant::now)).await };
            tokio::select! {
                served = &mut serving => return served,
                () = reader.too_slow() => return Ok(()),
                () = closing, if close_at.is_some() => {
                    if !activity.is_busy() {
                        return Ok(());
                    }
                    close_at = Some(Instant::now() + CLOSE_WITHIN);
                }
                () = activity.idle_for(self.limits.idle), if close_at.is_none() => {
                    serving.as_mut().graceful_shutdown();
                    close_at = Some(Instant::now() + CLOSE_WITHIN);
                }
                () = activity.closed_for_others(), if close_at.is_none() => {
                    if !activity.has_asked() {
                        return Ok(());
                    }
                    serving.as_mut().graceful_shutdown();
                    close_at = Some(Instant::now() + CLOSE_WITHIN);
                }
                () = self.stopping.cancelled(), if !is_draining => {
                    serving.as_mut().graceful_shutdown();
                    is_draining = true;
                }
            }
        }
    }
}

pub(crate) fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if limits.protocols == Protocols::Http1 {
        builder = builder.http1_only();
    }
    builder
        .http1()
        // The idle timeout covers it, with no timer for each request.
        .header_read_timeout(None)
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(limits.headers)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_MAX_BYTES as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(Some(limits.ping))
        .keep_alive_timeout(limits.ping);
    builder
}

/// Adds the timeout of a client that reads nothing.
fn io<S: AsyncRead + AsyncWrite>(stream: S) -> TokioIo<Pin<Box<TimeoutWriter<S>>>> {
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(READ_WITHIN));
    TokioIo::new(Box::pin(stream))
}

/// Finds the fault of a request whose body's end is in doubt or that has a second host: a proxy might read it
/// otherwise.
fn fault(request: &Request<Incoming>, is_certain: bool) -> Option<&'static str> {
    let mut encodings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    let is_framed = match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(one), None) => one.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    let hosts = request.headers().get_all(header::HOST).iter().count();
    match () {
        () if !is_framed => Some("Transfer-Encoding is `chunked`, once"),
        () if !is_certain => Some("a body has a Content-Length or comes in chunks (Transfer-Encoding), not both"),
        () if hosts > 1 || hosts == 0 && request.version() == Version::HTTP_11 => Some("there is one Host"),
        () => None,
    }
}

#[cfg(test)]
#[path = "../tests/unit/connection.rs"]
mod tests;
