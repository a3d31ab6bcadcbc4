//! Entry point of a fuzz target in `tests/fuzz`, hidden from the documentation. It decides nothing and is called by no
//! production code.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection::builder;
use crate::framing::Heads;
use crate::limits::Limits;

/// A request as the parser handed it over.
#[derive(Clone, Copy, Debug)]
pub struct ParsedRequest {
    /// It says `Transfer-Encoding`.
    pub has_chunks: bool,
    /// The parser left it a `Content-Length`.
    pub has_length: bool,
    /// It would be answered.
    pub is_certain: bool,
}

/// Serves one connection as a port does, with empty answers. Returns its requests.
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
            let mut body = request.into_body();
            while let Some(Ok(_)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {}
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let builder = builder(&Limits::of_one_in(1));
    builder.serve_connection(TokioIo::new(follower.follow(stream)), service).await.ok();
    std::mem::take(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
}
