//! Slow and silent clients over real framing, on a paused clock.

use std::net::Ipv4Addr;

use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::slots::Slots;

/// Answers every request with so many bytes.
#[derive(Clone)]
struct Bytewise(usize);

impl Answer for Bytewise {
    type Body = Full<Bytes>;

    async fn answer(&self, _request: Request<Incoming>) -> Response<Full<Bytes>> {
        Response::new(Full::from(vec![b'x'; self.0]))
    }

    async fn refuse(&self, _request: Request<Incoming>, fault: &'static str) -> Response<Full<Bytes>> {
        Response::new(Full::from(fault))
    }
}

fn port(answer: usize) -> (Arc<Port<Bytewise>>, CancellationToken) {
    let stopping = CancellationToken::new();
    (Arc::new(Port::new(Limits::of_one_in(1), None, Bytewise(answer), stopping.clone())), stopping)
}

fn peer() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 1).into()
}

/// Makes a client's end of a connection with a buffer of `holds` bytes, and the serving of the other end, which answers
/// every request with `answer` bytes.
fn connection(holds: usize, answer: usize) -> (DuplexStream, impl Future<Output = Served>) {
    let (client, server) = tokio::io::duplex(holds);
    let activity = Arc::new(Activity::new(Instant::now()));
    (client, port(answer).0.serve_stream(server, peer(), activity))
}

/// The time after which an unused connection is closed.
const IDLE: Duration = Duration::from_secs(75);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends a byte each ten seconds while the connection stands.
async fn drip(client: &mut DuplexStream) {
    while client.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_cut() {
    let (mut client, serving) = connection(1024, 1 << 20);
    client.write_all(GET).await.unwrap();
    let began = Instant::now();
    assert!(serving.await.is_err());
    assert!((READ_WITHIN..READ_WITHIN * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_all() {
    let (mut client, serving) = connection(1024, 10_000);
    let reading = async move {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let (mut read, mut part) = (0, [0; 1024]);
        loop {
            tokio::time::sleep(READ_WITHIN / 2).await;
            match client.read(&mut part).await.unwrap() {
                0 => return read,
                bytes => read += bytes,
            }
        }
    };
    let (served, read) = tokio::join!(serving, reading);
    assert!(served.is_ok() && read > 10_000, "{served:?} {read}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_ends_its_head_is_cut() {
    for before in [&b""[..], b"GET / HTTP/1.1\r\nX: ", GET, &[GET, b"GET / HTTP/1.1\r\nX: "].concat()] {
        let (mut client, serving) = connection(1 << 16, 1);
        client.write_all(before).await.unwrap();
        let began = Instant::now();
        let (served, ()) = tokio::join!(serving, drip(&mut client));
        let (took, sent) = (began.elapsed(), String::from_utf8_lossy(before));
        assert!(took <= IDLE * 2, "{sent}: {took:?} {served:?}");
    }
}

/// Asks by HTTP/2 and takes a piece of the answer each `pause`. Returns the bytes that came.
async fn take_pieces(client: DuplexStream, pause: Duration) -> usize {
    let (mut requests, connection) = h2::client::handshake(client).await.unwrap();
    // It answers pings meanwhile.
    tokio::spawn(connection);
    let (answer, _) = requests.send_request(Request::get("http://a/").body(()).unwrap(), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let mut taken = 0;
    while let Some(Ok(bytes)) = body.data().await {
        taken += bytes.len();
        tokio::time::sleep(pause).await;
        drop(body.flow_control().release_capacity(bytes.len()));
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn over_http_2_a_client_that_takes_nothing_is_cut() {
    const BYTES: usize = 1 << 20;
    for (pause, is_cut) in [(READ_WITHIN / 60, false), (READ_WITHIN * 100, true)] {
        let (client, serving) = connection(1 << 10, BYTES);
        let began = Instant::now();
        let (taken, cut_after) = tokio::join!(take_pieces(client, pause), async {
            serving.await.ok();
            began.elapsed()
        });
        assert_eq!(taken == BYTES, !is_cut, "{pause:?}: {taken}");
        assert!(!is_cut || cut_after < IDLE + READ_WITHIN * 2, "{cut_after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_is_closed_over_both_protocols() {
    let (mut client, serving) = connection(1 << 16, 1);
    client.write_all(GET).await.unwrap();
    let began = Instant::now();
    assert!(serving.await.is_ok());
    assert!((IDLE..IDLE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());

    let (client, serving) = connection(1 << 16, 1);
    let (began, asking) = (Instant::now(), async {
        let (mut requests, connection) = h2::client::handshake(client).await.unwrap();
        tokio::spawn(connection);
        let (answer, _) = requests.send_request(Request::get("http://a/").body(()).unwrap(), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), 200);
        tokio::time::sleep(IDLE * 3).await;
    });
    tokio::select! {
        _ = serving => {}
        () = asking => panic!("it stayed open"),
    }
    assert!(began.elapsed() < IDLE * 2, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_makes_room_is_closed_at_once() {
    for before in [&b""[..], b"GET / HTTP/1.1\r\nX: ", GET] {
        let limits = Limits { connections: 1, ..Limits::of_one_in(1) };
        let slots = Slots::new(&limits);
        let slot = slots.take(peer().ip()).await.unwrap();
        let (mut client, server) = tokio::io::duplex(1 << 16);
        client.write_all(before).await.unwrap();
        let serving = async {
            let served = port(1).0.serve_stream(server, peer(), Arc::clone(&slot.activity)).await;
            drop(slot);
            served
        };
        let began = Instant::now();
        let (served, next) = tokio::join!(serving, async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            slots.take(peer().ip()).await
        });
        assert!(next.is_some() && began.elapsed() < Duration::from_secs(3), "{:?} {served:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_unused_connections() {
    let (port, stopping) = port(1);
    let (mut client, server) = tokio::io::duplex(1 << 16);
    client.write_all(GET).await.unwrap();
    let serving = port.serve_stream(server, peer(), Arc::new(Activity::new(Instant::now())));
    let began = Instant::now();
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stopping.cancel();
    };
    let (served, ()) = tokio::join!(serving, stop);
    assert!(served.is_ok() && began.elapsed() < Duration::from_secs(2), "{:?} {served:?}", began.elapsed());
}
