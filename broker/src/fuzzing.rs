//! Entry points of the fuzz targets in `tests/fuzz`, hidden from the documentation.
//!
//! A hidden module and no feature: with a feature the whole broker would be compiled once more for the tests. It
//! decides nothing and is called by no production code.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::caller::sigv4::{Signed, SignedRequest};
use crate::edge::connection;
use crate::edge::framing::Heads;

/// A request as the parser handed it over.
#[derive(Clone, Copy, Debug)]
pub struct ParsedRequest {
    /// It says `Transfer-Encoding`.
    pub has_chunks: bool,
    /// The parser left it a `Content-Length`.
    pub has_length: bool,
    /// The edge would hand it on.
    pub is_certain: bool,
}

/// Serves one connection as the edge does, with empty answers. Returns its requests.
pub async fn requests(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Vec<ParsedRequest> {
    let (heads, seen) = (Heads::default(), Arc::new(Mutex::new(Vec::new())));
    let (follower, sees) = (heads.clone(), Arc::clone(&seen));
    let service = service_fn(move |request: http::Request<Incoming>| {
        let parsed = ParsedRequest {
            has_chunks: request.headers().contains_key(TRANSFER_ENCODING),
            has_length: request.headers().contains_key(CONTENT_LENGTH),
            is_certain: heads.is_certain(&request),
        };
        sees.lock().unwrap_or_else(PoisonError::into_inner).push(parsed);
        async move {
            request.into_body().collect().await.ok();
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let builder = connection::builder();
    builder.serve_connection(TokioIo::new(follower.follow(stream)), service).await.ok();
    std::mem::take(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A call and its parts that a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct SignedCall<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub host: &'a str,
    pub body: &'a [u8],
    /// The time of the check, in seconds since 1970.
    pub now_s: u64,
}

/// Returns true if `secret` signed the call. Headers that HTTP would refuse are left out.
pub fn is_signed_by(authorization: &str, call: &SignedCall<'_>, secret: &str) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in call.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let Ok(signed) = Signed::read(authorization, &headers) else { return false };
    let SignedCall { method, path, query, host, body, .. } = *call;
    let request = SignedRequest { method, path, query, headers: &headers, host, body };
    signed.check_time(call.now_s).and(signed.check(&request, secret)).is_ok()
}
