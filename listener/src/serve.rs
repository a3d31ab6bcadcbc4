//! The accept loop of a port, and its drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connection::{Answer, Port};
use crate::limits::Limits;
use crate::slots::{Slot, Slots};
use crate::tls::ServerTls;

/// Back-off after a connection could not be accepted, mostly for want of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Accepts connections and answers their requests until `stop`, then drains. Returns once every connection has ended;
/// dropping the future ends them at once.
pub async fn serve<A: Answer>(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    limits: Limits,
    answer: A,
    stop: impl Future<Output = ()>,
) {
    let stopping = CancellationToken::new();
    let slots = Slots::new(&limits);
    let port = Arc::new(Port::new(limits, tls, answer, stopping.clone()));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let (stream, from, slot) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        // Here and not above: a cancelled accept would lose the connection that waits for a slot.
        while connections.try_join_next().is_some() {}
        connections.spawn(Arc::clone(&port).serve(stream, from, slot));
    }
    drop(listener);
    stopping.cancel();
    while connections.join_next().await.is_some() {}
}

/// Accepts the next connection, and waits for its slot. Not to be cancelled but at a stop.
async fn accept(listener: &TcpListener, slots: &Arc<Slots>) -> (TcpStream, SocketAddr, Slot) {
    let mut failures = 0_u64;
    loop {
        match listener.accept().await {
            Ok((stream, from)) => match slots.take(from.ip()).await {
                Some(slot) => {
                    stream.set_nodelay(true).ok(); // Only a matter of speed.
                    return (stream, from, slot);
                }
                None => tracing::debug!(%from, "a peer has as many connections as it may"),
            },
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, "connections cannot be accepted; the idlest are closed");
                }
                failures += 1;
                slots.close_idlest();
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}
