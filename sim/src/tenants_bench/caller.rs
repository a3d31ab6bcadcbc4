//! Calls of one tenant over kept-alive connections. Never retries, and never fails: a broken call is an answer, too.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Timeout of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A tenant's connections to a broker.
#[derive(Clone)]
pub(crate) struct Caller {
    connections: Client<HttpConnector, Full<Bytes>>,
    server: SocketAddr,
    authorization: HeaderValue,
}

/// The end of a request.
pub(crate) struct Answer {
    /// None if the connection broke or the answer did not come in time.
    status: Option<StatusCode>,
    pub(crate) body: Bytes,
}

impl Caller {
    pub(crate) fn new(server: SocketAddr, authorization: HeaderValue) -> Caller {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let connections = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);
        Caller { connections, server, authorization }
    }

    /// Invokes a function, with a header of the caller's own.
    pub(crate) async fn invoke(&self, path: &str, header: Option<(&str, &str)>, payload: Bytes) -> Answer {
        self.send(Method::POST, path, header, payload).await
    }

    /// Sends a request. Dropping the future closes its connection.
    pub(crate) async fn send(&self, method: Method, path: &str, own: Option<(&str, &str)>, body: Bytes) -> Answer {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.server));
        let request = own.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = request.header(header::AUTHORIZATION, &self.authorization).body(Full::new(body));
        let answered = async {
            let (head, body) = self.connections.request(request.ok()?).await.ok()?.into_parts();
            Some((head.status, body.collect().await.ok()?.to_bytes()))
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(Some((status, body))) => Answer { status: Some(status), body },
            Ok(None) | Err(_) => Answer { status: None, body: Bytes::new() },
        }
    }
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }

    /// Returns the answer's status and its error's code, for a count.
    pub(crate) fn word(&self) -> String {
        let Some(status) = self.status else { return "broken".to_owned() };
        if status.is_success() {
            return status.as_u16().to_string();
        }
        let error: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let code = error["error"]["code"].as_str();
        code.map_or_else(|| status.as_u16().to_string(), |code| format!("{} {code}", status.as_u16()))
    }
}
