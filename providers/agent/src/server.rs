//! The shell of the invocation server: a listener, its connections, and their end. Never knows an invocation.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use merit_adapters::agent::HEADERS_MAX;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Maximum number of connections; more wait to be accepted.
const CONNECTIONS_MAX: usize = 4096;
/// Timeout of a connection's next request head. Longer than brokers keep idle connections, so that they close first and
/// no request meets a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Back-off after a connection could not be accepted, mostly for lack of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// A server that runs until it is stopped or dropped.
pub(crate) struct InvocationServer {
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl InvocationServer {
    pub(crate) fn start(listener: TcpListener, router: Router) -> InvocationServer {
        let (stop, stopped) = watch::channel(false);
        InvocationServer { stop, serving: tokio::spawn(serve(listener, router, stopped)) }
    }

    /// Stops accepting and drains the running requests for at most `within`. Returns false if some were cut off.
    pub(crate) async fn stop(mut self, within: Duration) -> bool {
        self.stop.send_replace(true);
        tokio::time::timeout(within, &mut self.serving).await.is_ok()
    }
}

impl Drop for InvocationServer {
    fn drop(&mut self) {
        self.serving.abort(); // Its set aborts the connections with it.
    }
}

async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    let (graceful, free) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    let mut connections = JoinSet::new();
    loop {
        let (stream, permit) = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &free) => accepted,
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Accepts the next connection. Safe to cancel.
async fn accept(listener: &TcpListener, free: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there always is a permit.
    let permit = Arc::clone(free).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                stream.set_nodelay(true).ok(); // A failure only costs speed.
                return (stream, permit);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}
