//! A function server that fails in every way, by the path of the request. Never runs a function.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Time for which a stalled request is held.
const STALL: Duration = Duration::from_secs(20);
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const GARBAGE: &[u8] = b"\x16\x03\x01 this is no HTTP\r\n\r\n\0\xff";

/// Serves on a free port of loopback until it is dropped.
pub(crate) struct BadServer {
    pub(crate) address: SocketAddr,
    /// The accepting task, whose connections end with it.
    _serving: JoinSet<()>,
}

impl BadServer {
    pub(crate) async fn start() -> std::io::Result<BadServer> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener));
        Ok(BadServer { address, _serving: serving })
    }
}

/// Returns an address of loopback where nothing listens.
pub(crate) async fn nowhere() -> std::io::Result<SocketAddr> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?.local_addr()
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        // A connection that breaks is no error of this server.
        connections.spawn(async move { drop(fail(stream).await) });
        while connections.try_join_next().is_some() {}
    }
}

/// Reads the head of one request and fails it. An unread body resets the connection, too.
async fn fail(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = [0; 4096];
    let length = stream.read(&mut head).await?;
    let head = String::from_utf8_lossy(&head[..length]);
    match head.split_whitespace().nth(1) {
        Some("/unavailable") => stream.write_all(UNAVAILABLE).await,
        Some("/garbage") => stream.write_all(GARBAGE).await,
        Some("/stall") => {
            tokio::time::sleep(STALL).await;
            Ok(())
        }
        _ => stream.set_zero_linger(),
    }
}
