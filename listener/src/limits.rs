//! The bounds of a port.

use std::time::Duration;

use tokio::net::TcpListener;

use crate::descriptors;

/// Connections at once, whatever the limit on open files.
const CONNECTIONS_MAX: usize = 16_384;
/// Fewest connections at once, however low the limit on open files.
const CONNECTIONS_MIN: usize = 16;
/// Connections at once below which the log warns.
const CONNECTIONS_LOW: usize = 128;
/// Parts of a port's connections that one peer may have, which is not this machine: one eighth.
const PEER_PARTS: usize = 8;

/// The protocols of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    Http1,
    /// HTTP/2 with prior knowledge or by ALPN, or HTTP/1.1.
    Any,
}

/// The bounds of a port.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once. When all are taken, the idlest are closed.
    pub connections: usize,
    /// Connections at once of one peer that is not this machine. Further ones are closed at once.
    pub peer_connections: usize,
    pub protocols: Protocols,
    /// Most header fields of an HTTP/1 request.
    pub headers: usize,
    /// Timeout of the first request, of a request's head, and of an unused connection.
    pub idle: Duration,
    /// HTTP/2 keep-alive: ping after this time of silence, close after as long again without an answer.
    pub ping: Duration,
}

impl Limits {
    /// Makes the usual bounds of a port that may use one part in `parts` of the open files of this process.
    pub fn of_one_in(parts: usize) -> Limits {
        let connections = (descriptors::for_connections() / parts).clamp(CONNECTIONS_MIN, CONNECTIONS_MAX);
        Limits {
            connections,
            peer_connections: (connections / PEER_PARTS).max(1),
            protocols: Protocols::Any,
            headers: 128,
            idle: Duration::from_secs(75),
            ping: Duration::from_secs(20),
        }
    }

    /// Logs the bounds of a port, for its operator.
    pub fn log(&self, listener: &TcpListener) {
        let address = listener.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
        let (connections, open_files) = (self.connections, descriptors::limit());
        match connections < CONNECTIONS_LOW {
            false => tracing::info!(address, connections, open_files, "listening"),
            true => tracing::warn!(
                address,
                connections,
                open_files,
                "few connections at once, by the limit on open files; raise it (ulimit -Hn, LimitNOFILE=)"
            ),
        }
    }
}
