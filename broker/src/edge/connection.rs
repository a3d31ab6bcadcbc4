//! Connections: accepted within quotas, over TLS or not, each HTTP/1.1 or HTTP/2, and drained at a stop.
//!
//! Owns the limits on a client that has not said anything yet: connections at once, for all and for one peer, timeouts
//! of the handshake and of a request's head, the size of a head, and the timeout of its reads.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Version, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use merit_proto::ServerTls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::task::TaskTracker;

use super::early_answers::Unread;
use super::framing::{HEAD_MAX_BYTES, Heads};
use super::front::Front;
use super::slow_readers::{READ_WITHIN, SlowReader};
use crate::error::ApiError;

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 16_384;
/// Connections of one peer that is not this machine; further ones are closed at once.
const PEER_CONNECTIONS_MAX: usize = 2_048;
/// Timeout of the first request, of a request's head, and of an unused HTTP/1 connection.
const HEAD_WITHIN: Duration = Duration::from_secs(75);
/// Most header fields of a request.
const HEADERS_MAX: usize = 128;
/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// Send buffer of an HTTP/2 stream, in bytes.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Back-off after a failed accept, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Count of connections by peer.
type Peers = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Accepts and serves until `stop`, then drains. Returns once every connection has ended.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    front: Front,
    stop: impl Future<Output = ()>,
) {
    let (graceful, free, peers) =
        (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)), Peers::default());
    let (builder, tasks) = (Arc::new(builder()), TaskTracker::new());
    tokio::pin!(stop);
    loop {
        let (stream, peer, permit) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &free) => accepted,
        };
        let Some(counted) = PeerConnection::of(peer.ip(), &peers) else {
            tracing::debug!(%peer, "a peer has too many connections");
            continue;
        };
        let (builder, front, watcher, tls) = (builder.clone(), front.clone(), graceful.watcher(), tls.clone());
        tasks.spawn(async move {
            let asked = Arc::new(AtomicBool::new(false));
            let asks = asked.clone();
            let (heads, reader) = (Heads::default(), SlowReader::default());
            let (followed, waiting) = (heads.clone(), reader.clone());
            let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
                asks.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(peer);
                let is_certain = heads.is_certain(&request);
                answer(front.clone(), request, is_certain, reader.clone())
            });
            let served = match tls {
                None => {
                    let serving =
                        watcher.watch(builder.serve_connection(io(followed.follow(stream)), service).into_owned());
                    while_reading(serving, &asked, &waiting).await
                }
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => {
                        let serving =
                            watcher.watch(builder.serve_connection(io(followed.follow(stream)), service).into_owned());
                        while_reading(serving, &asked, &waiting).await
                    }
                    Err(error) => return tracing::debug!(%peer, %error, "no connection"),
                },
            };
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "a connection broke");
            }
            drop((permit, counted));
        });
    }
    drop(listener);
    graceful.shutdown().await;
    tasks.close();
    tasks.wait().await;
}

/// Serves a connection. Closes it if it asks for nothing, or does not read its answers.
async fn while_reading<E>(
    serving: impl Future<Output = Result<(), E>>,
    asked: &AtomicBool,
    reader: &SlowReader,
) -> Result<(), E> {
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => return served,
        () = tokio::time::sleep(HEAD_WITHIN) => {}
    }
    if !asked.load(Ordering::Relaxed) {
        return Ok(());
    }
    tokio::select! {
        served = serving => served,
        () = reader.too_slow() => Ok(()),
    }
}

/// Answers a request. Refuses one whose body's end is in doubt or that has a second host: a proxy might read it
/// otherwise.
async fn answer(
    front: Front,
    request: http::Request<Incoming>,
    is_certain: bool,
    reader: SlowReader,
) -> Result<Response, Infallible> {
    let mut encodings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    let is_framed = match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(one), None) => one.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let wrong = match () {
        () if !is_framed => "Transfer-Encoding is `chunked`, once",
        () if !is_certain => "a body has a Content-Length or comes in chunks (Transfer-Encoding), not both",
        () if hosts > 1 || hosts == 0 && request.version() == Version::HTTP_11 => "there is one Host",
        () => {
            let is_http_2 = request.version() == Version::HTTP_2;
            let response = front.answer(Unread::of(request).map(Body::new)).await;
            return Ok(if is_http_2 { reader.time(response) } else { response });
        }
    };
    let mut response = front.refuse(request.map(Body::new), ApiError::malformed(wrong)).await;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

pub(crate) fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(HEADERS_MAX)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_MAX_BYTES as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Adds the timeout of a client that reads nothing.
fn io<S: AsyncRead + AsyncWrite>(stream: S) -> TokioIo<std::pin::Pin<Box<TimeoutWriter<S>>>> {
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(READ_WITHIN));
    TokioIo::new(Box::pin(stream))
}

/// Waits for the next connection. Cancel-safe.
async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so that there always is a permit.
    let permit = Arc::clone(free).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                stream.set_nodelay(true).ok(); // Only a matter of speed.
                return (stream, peer, permit);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A counted connection of a peer, until it is dropped.
struct PeerConnection {
    peer: IpAddr,
    peers: Peers,
}

impl PeerConnection {
    /// Counts a connection. Returns none if the peer has as many as it may.
    fn of(peer: IpAddr, peers: &Peers) -> Option<PeerConnection> {
        let mut counts = peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_default();
        if *count >= PEER_CONNECTIONS_MAX && !peer.is_loopback() {
            return None;
        }
        *count += 1;
        Some(PeerConnection { peer, peers: peers.clone() })
    }
}

impl Drop for PeerConnection {
    fn drop(&mut self) {
        let mut counts = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/edge/connection.rs"]
mod tests;
