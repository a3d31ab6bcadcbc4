//! The exchange on the network: its services on a listener, until told to stop.

use std::future::Future;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::open::Exchange;

/// Why an exchange cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{0} is not a loopback address, and without keys only loopback is served; keys are not in this version")]
    KeysNeeded(std::net::SocketAddr),
    #[error("the description of the protocol cannot be read")]
    Descriptors(#[from] tonic_reflection::server::Error),
    #[error("the listener has no address")]
    Listener(#[from] std::io::Error),
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
}

impl Exchange {
    /// Serves gRPC until `stop`, then lets calls end, for at most `drain`. Refuses a listener that is not on
    /// loopback: there are no keys.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
        drain: Duration,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(ServeError::KeysNeeded(address));
        }
        let (stopping, mut stopped) = tokio::sync::watch::channel(false);
        let server = Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(Duration::from_secs(5)))
            .http2_keepalive_timeout(Some(Duration::from_secs(5)))
            .add_routes(self.routes().await?)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
                stop.await;
                stopping.send_replace(true);
            });
        let drained = async {
            // Sessions and streams stay open for ever; they end here.
            drop(stopped.wait_for(|stopped| *stopped).await);
            tokio::time::sleep(drain).await;
        };
        tokio::select! {
            served = server => Ok(served?),
            () = drained => Ok(()),
        }
    }
}
