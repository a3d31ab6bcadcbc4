//! Requests over real connections that their server closes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const REQUEST: &[u8] = &[b'x'; 200];

/// The end of a server.
#[derive(Clone, Copy, PartialEq)]
enum Closes {
    Before,
    /// Closes its own direction alone, and reads on.
    HalfBefore,
    After,
}

/// Exchanges one request and answer, then has the server close before or after the next request. Returns the
/// undelivered bytes that the client finds.
async fn undelivered(closes: Closes) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (mut client, mut server) = (CountedStream::new(client.unwrap()), accepted.unwrap().0);
    let mut request = vec![0; REQUEST.len()];
    client.write_all(REQUEST).await.unwrap();
    server.read_exact(&mut request).await.unwrap();
    server.write_all(b"answer").await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    let mut kept = None;
    match closes {
        Closes::Before => {
            drop(server);
            client.write_all(REQUEST).await.unwrap();
        }
        Closes::HalfBefore => {
            server.shutdown().await.unwrap();
            client.write_all(REQUEST).await.unwrap();
            kept = Some(server);
        }
        Closes::After => {
            client.write_all(REQUEST).await.unwrap();
            server.read_exact(&mut request).await.unwrap();
            drop(server);
        }
    }
    assert_eq!(client.read(&mut [0; 6]).await.unwrap(), 0);
    drop(kept);
    client.undelivered.0.load(Ordering::Acquire)
}

#[tokio::test]
async fn a_server_that_closed_first_has_read_nothing() {
    assert_eq!(undelivered(Closes::Before).await, REQUEST.len() as u64);
}

#[tokio::test]
async fn a_server_that_closes_afterwards_may_have_read_all() {
    assert_eq!(undelivered(Closes::After).await, 0);
}

#[tokio::test]
async fn a_server_that_reads_on_may_read_all() {
    assert_eq!(undelivered(Closes::HalfBefore).await, 0);
}

#[tokio::test]
async fn a_part_of_a_request_is_never_the_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let counted = CountedStream::new(stream);
    counted.undelivered.0.store(1_000, Ordering::Release);
    let whole = |payload_bytes| Undelivered::is_whole_request(&counted.connected(), payload_bytes);
    assert!(whole(0) && whole(900));
    assert!(!whole(901) && !whole(PAYLOAD_MAX_BYTES));
    counted.undelivered.0.store(1 << 20, Ordering::Release);
    assert!(whole(PAYLOAD_MAX_BYTES) && !whole(PAYLOAD_MAX_BYTES + 1));
    assert!(!Undelivered::is_whole_request(&counted.connected().negotiated_h2(), 0));
}
