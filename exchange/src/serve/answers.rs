//! The answers of the gRPC port: its services for those whom they admit, by HTTP/2 alone, within the deadline that a
//! caller states and the bounds of messages.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use merit_listener::Answer;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response, StatusCode, Version, header};
use tonic::service::Routes;
use tower::Service;

use super::messages::{MessageQuota, Messages};
use crate::access::Entrance;
use crate::exchange::Exchange;
use crate::quota::Holder;

/// Sentence for a caller that speaks HTTP/1.
const NOT_GRPC: &str = "this is the gRPC port of a Merit exchange, which speaks HTTP/2; \
                        curl and SDKs call a broker's HTTP port, 8080 by default\n";

/// Method whose answer goes on until its caller ends it, and which is not ours.
const WATCH_HEALTH: &str = "/grpc.health.v1.Health/Watch";

/// The services of one port.
#[derive(Clone)]
pub(super) struct Answers {
    exchange: Exchange,
    services: Routes,
    quota: MessageQuota,
}

impl Answers {
    pub(super) fn new(exchange: Exchange, services: Routes) -> Answers {
        Answers { exchange, services, quota: MessageQuota::default() }
    }

    async fn answer_admitted(&self, request: Request<Incoming>) -> Result<Response<Body>, Status> {
        let peer = request.extensions().get::<SocketAddr>().copied();
        let (identity, request) = self.exchange.admit(Entrance::Network, request)?;
        let holder = self.exchange.holder_of(identity).unwrap_or_else(|| Holder::peer(peer.as_ref()));
        let watch = match request.uri().path() {
            WATCH_HEALTH => self.exchange.0.quotas.health_watches.take(Some(holder.clone()))?,
            _ => None,
        };
        let (request, _held) = Messages::follow(request, holder, &self.quota);
        let Ok(response) = self.services.clone().call(request).await;
        Ok(match watch {
            None => response,
            Some(share) => response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _held = &share;
                    frame
                }))
            }),
        })
    }
}

impl Answer for Answers {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.version() != Version::HTTP_2 {
            return not_grpc();
        }
        let answered = match deadline(request.headers()) {
            None => self.answer_admitted(request).await,
            Some(deadline) => tokio::time::timeout(deadline, self.answer_admitted(request))
                .await
                .unwrap_or_else(|_| Err(Status::deadline_exceeded("the deadline of the call has passed"))),
        };
        answered.unwrap_or_else(Status::into_http)
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
