//! The front: measures, logs and authenticates every request before its door.
//!
//! Stands before the router and not in layers of it: each layer would cost every request a copy of the stack inside.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, Method, header};
use hyper::body::Incoming;
use merit_listener::Answer;
use tower::Service;

use super::access_log::AccessLog;
use super::early_answers::Unread;
use crate::broker::Broker;
use crate::caller::Caller;
use crate::caller::authenticate::Authenticated;
use crate::doors::error_shape::Shape;
use crate::error::{ApiError, ErrorCode};
use crate::invocation::preferences::Received;
use crate::metrics::measure;

/// Header of every answer: the time that Merit added to that of the providers.
const OVERHEAD: HeaderName = HeaderName::from_static("merit-overhead-us");

/// Methods of the doors.
const METHODS: &str = "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS";

/// The front of one broker. Clones share it.
#[derive(Clone)]
pub(crate) struct Front {
    broker: Arc<Broker>,
    access_log: Arc<AccessLog>,
    doors: Router,
}

impl Answer for Front {
    type Body = Body;

    async fn answer(&self, request: http::Request<Incoming>) -> Response {
        self.clone().answered(Unread::of(request).map(Body::new)).await
    }

    /// Answers with an error before anybody asks for credentials.
    async fn refuse(&self, request: http::Request<Incoming>, fault: &'static str) -> Response {
        let request = request.map(Body::new);
        let shape = Shape::of(request.uri().path());
        let refused = async |_| (None, shape.respond(ApiError::malformed(fault)));
        let logged = async |request| logged(&self.access_log, request, refused).await;
        measure(&self.broker.metrics, request, logged).await
    }
}

impl Front {
    pub(crate) fn new(broker: Arc<Broker>, access_log: AccessLog, doors: Router) -> Front {
        Front { broker, access_log: Arc::new(access_log), doors }
    }

    /// Answers a request at its door, or with the refusal of its credentials.
    async fn answered(self, request: Request) -> Response {
        let Front { broker, access_log, mut doors } = self;
        let checked = async |request: Request| {
            let shape = Shape::of(request.uri().path());
            // A tunnel is nobody's resource, whatever its path is called.
            if request.method() == Method::CONNECT {
                let error = ApiError::new(ErrorCode::MethodNotAllowed, "this is no proxy: CONNECT is not served");
                return (None, ([(header::ALLOW, METHODS)], shape.respond(error)).into_response());
            }
            match broker.authentication.check(request).await {
                Ok(Authenticated { caller, request }) => {
                    let Ok(answer) = doors.call(request).await;
                    (caller, answer)
                }
                Err(error) => (None, shape.respond(error)),
            }
        };
        let logged = async |request| logged(&access_log, request, checked).await;
        measure(&broker.metrics, request, logged).await
    }
}

/// Logs a request with its caller and its answer, and adds the overhead to the answer.
async fn logged(
    access_log: &AccessLog,
    mut request: Request,
    answer: impl AsyncFnOnce(Request) -> (Option<Caller>, Response),
) -> Response {
    let entry = access_log.note(&request);
    let began = Instant::now();
    request.extensions_mut().insert(Received(began));
    let (caller, mut response) = answer(request).await;
    // Without a call all the time was Merit's.
    let overhead = began.elapsed().as_micros().min(u32::MAX.into()) as u32;
    response.headers_mut().entry(OVERHEAD).or_insert_with(|| overhead.into());
    if let Some(entry) = entry {
        entry.answered(caller.as_ref(), &response);
    }
    response
}

#[cfg(test)]
#[path = "../../tests/unit/edge/front.rs"]
pub(crate) mod tests;
