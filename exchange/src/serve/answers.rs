//! The answers of the gRPC port: its services, by HTTP/2 alone, within the deadline that a caller states and the bounds
//! of messages.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use merit_listener::Answer;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response, StatusCode, Version, header};
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;

use super::messages::{MessageQuota, Messages};

/// Sentence for a caller that speaks HTTP/1.
const NOT_GRPC: &str = "this is the gRPC port of a Merit exchange, which speaks HTTP/2; \
                        curl and SDKs call a broker's HTTP port, 8080 by default\n";

/// The services of one port.
#[derive(Clone)]
pub(super) struct Answers {
    services: Routes,
    quota: MessageQuota,
}

impl Answers {
    pub(super) fn new(services: Routes) -> Answers {
        Answers { services, quota: MessageQuota::default() }
    }
}

impl Answer for Answers {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.version() != Version::HTTP_2 {
            return not_grpc();
        }
        let deadline = deadline(request.headers());
        let mut services = self.services.clone();
        let answering = services.call(Messages::follow(request, &self.quota));
        let Some(deadline) = deadline else {
            let Ok(response) = answering.await;
            return response;
        };
        match tokio::time::timeout(deadline, answering).await {
            Ok(Ok(response)) => response,
            Err(_) => Status::new(Code::DeadlineExceeded, "the deadline of the call has passed").into_http(),
        }
    }

    async fn refuse(&self, _request: Request<Incoming>, _fault: &'static str) -> Response<Body> {
        not_grpc()
    }
}

fn not_grpc() -> Response<Body> {
    let mut response = Response::new(Body::new(NOT_GRPC.to_owned().map_err(|never| match never {})));
    *response.status_mut() = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}

/// Reads the time that a caller gives a call (`grpc-timeout`: digits and a unit, as in the gRPC protocol over HTTP/2).
/// None without a header, and for one that cannot be read.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "../../tests/unit/serve/answers.rs"]
mod tests;
