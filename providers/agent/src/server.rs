//! The shell of the invocation server: a listener, its answers, and its end. Never knows an invocation.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use merit_adapters::agent::HEADERS_MAX;
use merit_listener::{Answer, Limits, Protocols};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::Service;

/// The part of the open files that connections may use: an eighth, since a process may run several providers.
const CONNECTION_PARTS: usize = 8;
/// Timeout of a connection's next request head. Longer than brokers keep idle connections, so that they close first and
/// no request meets a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// A server that runs until it is stopped or dropped.
pub(crate) struct InvocationServer {
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Answers(Router);

impl Answer for Answers {
    type Body = Body;

    async fn answer(&self, request: Request<Incoming>) -> Response {
        let Ok(response) = self.0.clone().call(request).await;
        response
    }

    async fn refuse(&self, _request: Request<Incoming>, fault: &'static str) -> Response {
        (StatusCode::BAD_REQUEST, fault).into_response()
    }
}

impl InvocationServer {
    /// Serves calls, of which a host runs at most `slots` at once.
    pub(crate) fn start(listener: TcpListener, router: Router, slots: u32) -> InvocationServer {
        let (stop, mut stopped) = watch::channel(false);
        let limits = InvocationServer::limits();
        if limits.connections < slots as usize {
            let connections = limits.connections;
            let advice = "raise the limit on open files (ulimit -Hn, LimitNOFILE=), or offer fewer slots";
            tracing::warn!(slots, connections, advice, "each call takes a connection, and there are fewer than slots");
        }
        let serving = tokio::spawn(async move {
            let stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
            merit_listener::serve(listener, None, limits, Answers(router), stop).await;
        });
        InvocationServer { stop, serving }
    }

    /// Returns the bounds of a provider's port. Brokers are few, and each has a connection for every call under way.
    fn limits() -> Limits {
        let limits = Limits::of_one_in(CONNECTION_PARTS);
        let (peer_connections, protocols) = (limits.connections, Protocols::Http1);
        Limits { peer_connections, protocols, headers: HEADERS_MAX, idle: IDLE_TIMEOUT, ..limits }
    }

    /// Stops accepting and drains the running requests for at most `within`. Returns false if some were cut off.
    pub(crate) async fn stop(mut self, within: Duration) -> bool {
        self.stop.send_replace(true);
        tokio::time::timeout(within, &mut self.serving).await.is_ok()
    }
}

impl Drop for InvocationServer {
    fn drop(&mut self) {
        self.serving.abort(); // Its connections end with it.
    }
}
