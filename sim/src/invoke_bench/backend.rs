//! The trivial provider behind every target: answers each POST with 200 bytes, as a Merit agent would. Never runs a
//! function.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::invoke_bench::PAYLOAD_BYTES;

const ANSWER: [u8; PAYLOAD_BYTES] = [b'a'; PAYLOAD_BYTES];

/// Serves on a free port of loopback until it is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// The accepting task, whose connections end with it.
    _serving: JoinSet<()>,
}

impl Backend {
    pub(crate) async fn start() -> std::io::Result<Backend> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener));
        Ok(Backend { address, _serving: serving })
    }
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        drop(stream.set_nodelay(true));
        connections.spawn(async move {
            // A broken connection of a client is no error of the backend.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Reads the payload and answers. The usage is constant, so that every call costs the same.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    drop(request.into_body().collect().await);
    let mut response = Response::new(Full::new(Bytes::from_static(&ANSWER)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(HeaderName::from_static("merit-outcome"), HeaderValue::from_static("ok"));
    let usage = HeaderValue::from_static("wall_us=100;cpu_us=100;cold_us=0;memory_mb=128");
    headers.insert(HeaderName::from_static("merit-usage"), usage);
    Ok(response)
}
