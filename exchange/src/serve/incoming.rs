//! Connections to the gRPC server: in the clear, or each after a TLS handshake.
//!
//! Handshakes run beside each other and beside accepting; a client with a slow handshake delays nobody else.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use merit_proto::ServerTls;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};

/// Limit of concurrent handshakes; each ends within 10 s.
const HANDSHAKES_MAX: usize = 256;
/// Queue length of connections before the server.
const ACCEPTED_MAX: usize = 64;

/// Accepts connections in the clear.
pub(crate) fn plain(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> {
    TcpListenerStream::new(listener).map(|accepted| accepted.inspect(without_delay))
}

/// Accepts connections by TLS. Ends with its reader.
pub(crate) fn secured(
    listener: TcpListener,
    tls: Arc<ServerTls>,
) -> impl Stream<Item = io::Result<tokio_rustls::server::TlsStream<TcpStream>>> {
    let (sender, receiver) = mpsc::channel(ACCEPTED_MAX);
    let slots = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    tokio::spawn(async move {
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let (stream, from) = tokio::select! {
                () = sender.closed() => return,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    // Such as a connection that its client gave up; the server reports errors of the listener itself.
                    Err(error) => {
                        if sender.send(Err(error)).await.is_err() {
                            return;
                        }
                        continue;
                    }
                },
            };
            without_delay(&stream);
            let (sender, tls) = (sender.clone(), tls.clone());
            // Ends within the time of a handshake, or with the server.
            tokio::spawn(async move {
                match tls.accept(stream).await {
                    Ok(stream) => drop(sender.send(Ok(stream)).await),
                    Err(error) => tracing::debug!(%from, %error, "a connection was not secured"),
                }
                drop(slot);
            });
        }
    });
    ReceiverStream::new(receiver)
}

/// Sets TCP_NODELAY: messages are small, and callers wait for them. A connection that is gone is found so later.
fn without_delay(stream: &TcpStream) {
    drop(stream.set_nodelay(true));
}
