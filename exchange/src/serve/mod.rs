//! The exchange on the network: its services on a listener, until a stop signal and a drain.
//!
//! Owns the refusal of unsafe addresses and the time of the drain. Never handles a call itself.

mod answers;
pub(crate) mod messages;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::answers::Answers;
use crate::exchange::Exchange;
use futures_util::future::BoxFuture;
use merit_listener::{Limits, ServerTls};
use merit_terms::Role;
use tokio::net::TcpListener;

/// The part of the open files that connections may use: an eighth. Most carry many calls.
const CONNECTION_PARTS: usize = 8;
/// HTTP/2 keep-alive: ping after 5 s of silence, close 5 s after an unanswered ping.
const PING: Duration = Duration::from_secs(5);

/// An exchange that cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("{0} is not a loopback address, and an exchange without keys serves this machine only")]
    Keyless(SocketAddr),
    #[error(
        "{} has no operator's key that may be used, so that nobody could run the market; make one first: \
         merit keys create --role operator --account operator --data-dir {}",
        data_dir.display(),
        data_dir.display()
    )]
    NoOperator { data_dir: PathBuf },
    #[error("the description of the protocol cannot be read")]
    Descriptors(#[from] tonic_reflection::server::Error),
    #[error("the listener has no address")]
    Listener(#[from] std::io::Error),
}

impl Exchange {
    /// Refuses an address off this machine without keys, and with keys an exchange without a valid operator's key.
    pub fn check_address(&self, address: SocketAddr) -> Result<(), ServeError> {
        match self.is_keyless() {
            true if address.ip().is_loopback() => Ok(()),
            true => Err(ServeError::Keyless(address)),
            false if self.has_key(Role::Operator) => Ok(()),
            false => Err(ServeError::NoOperator { data_dir: self.0.settings.data_dir.clone() }),
        }
    }

    /// Serves gRPC until `stop`, then drains calls for at most `drain`. Refuses an address as
    /// [`Exchange::check_address`] does.
    pub fn serve(
        &self,
        listener: TcpListener,
        tls: Option<ServerTls>,
        stop: impl Future<Output = ()> + Send + 'static,
        drain: Duration,
    ) -> BoxFuture<'_, Result<(), ServeError>> {
        self.serve_until(listener, tls, Box::pin(stop), drain)
    }

    /// Boxed and not generic, so that the server is compiled here, once and optimised, and not in each caller's crate.
    fn serve_until(
        &self,
        listener: TcpListener,
        tls: Option<ServerTls>,
        stop: BoxFuture<'static, ()>,
        drain: Duration,
    ) -> BoxFuture<'_, Result<(), ServeError>> {
        Box::pin(self.served(listener, tls, stop, drain))
    }

    async fn served(
        &self,
        listener: TcpListener,
        tls: Option<ServerTls>,
        stop: BoxFuture<'static, ()>,
        drain: Duration,
    ) -> Result<(), ServeError> {
        self.check_address(listener.local_addr()?)?;
        let (stopping, mut stopped) = tokio::sync::watch::channel(false);
        let stop = async move {
            stop.await;
            stopping.send_replace(true);
        };
        let answers = Answers::new(self.clone(), self.services().await?);
        let limits = Limits { ping: PING, ..Limits::of_one_in(CONNECTION_PARTS) };
        limits.log(&listener);
        let server = merit_listener::serve(listener, tls.map(Arc::new), limits, answers, stop);
        let drained = async {
            // Sessions and streams would stay open for ever; they end here.
            drop(stopped.wait_for(|stopped| *stopped).await);
            tokio::time::sleep(drain).await;
        };
        tokio::select! {
            () = server => Ok(()),
            () = drained => Ok(()),
        }
    }
}
