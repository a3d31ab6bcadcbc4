//! The accept loop of a port, and its drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::connection::{Answer, Port};
use crate::limits::Limits;
use crate::slots::{Slot, Slots};
use crate::tls::ServerTls;

/// Back-off after a connection could not be accepted, mostly for want of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// Shortest time between two log lines on connections that could not be accepted.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(60);

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
    let (mut connections, mut told) = (JoinSet::new(), None);
    tokio::pin!(stop);
    loop {
        let (stream, from, slot) = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &slots, &mut told) => accepted,
        };
        // Here and not above: a cancelled accept would lose the connection that waits for a slot.
        while connections.try_join_next().is_some() {}
        connections.spawn(Arc::clone(&port).serve(stream, from, slot));
    }
    drop(listener);
    stopping.cancel();
    while connections.join_next().await.is_some() {}
}

/// Accepts the next connection, and waits for its slot. Cancel only at a stop: it may hold an accepted connection.
/// `told` is the time of the last log line on a failure.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Slots>,
    told: &mut Option<Instant>,
) -> (TcpStream, SocketAddr, Slot) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => match slots.take(from.ip()).await {
                Some(slot) => {
                    stream.set_nodelay(true).ok(); // Only a matter of speed.
                    return (stream, from, slot);
                }
                None => tracing::debug!(%from, "a peer is at its connection limit"),
            },
            Err(error) => {
                let is_out_of_files = matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE));
                if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN_AFTER) {
                    tracing::warn!(%error, is_out_of_files, "connections cannot be accepted; trying again");
                    *told = Some(Instant::now());
                }
                if is_out_of_files {
                    slots.close_idlest();
                }
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}
