//! One client type for an exchange in this process or across a network.
//!
//! A generated tonic server is itself a service over HTTP requests, so it serves as the transport of its own
//! generated client: nothing is written twice for the two cases.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

/// How a client reaches the exchange.
#[derive(Clone, Debug)]
pub enum Transport {
    /// The exchange's services in this process.
    InProcess(Routes),
    Network(Channel),
}

/// Why an exchange cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("`{url}` is not the URL of an exchange, such as http://127.0.0.1:7070")]
    Url { url: String, source: tonic::transport::Error },
    #[error("`{url}` is not the URL of an exchange: it begins with http://, as in http://127.0.0.1:7070")]
    Scheme { url: String },
}

/// An error of either transport.
pub type TransportError = Box<dyn std::error::Error + Send + Sync>;

impl Transport {
    /// A transport to the exchange at `url`. Connects at the first call, and again whenever the connection is lost.
    pub fn network(url: &str) -> Result<Transport, ConnectError> {
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|source| ConnectError::Url { url: url.to_owned(), source })?;
        // Without a scheme the first call would fail, and the next, for no reason that can be told.
        if endpoint.uri().scheme_str() != Some("http") {
            return Err(ConnectError::Scheme { url: url.to_owned() });
        }
        let channel = endpoint
            .connect_timeout(Duration::from_secs(3))
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .connect_lazy();
        Ok(Transport::Network(channel))
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match self {
            Transport::InProcess(routes) => {
                <Routes as Service<Request<Body>>>::poll_ready(routes, context).map_err(TransportError::from)
            }
            Transport::Network(channel) => channel.poll_ready(context).map_err(TransportError::from),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Transport::InProcess(routes) => {
                let answer = routes.call(request);
                Box::pin(async move { answer.await.map_err(TransportError::from) })
            }
            Transport::Network(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { answer.await.map_err(TransportError::from) })
            }
        }
    }
}
