//! Slow and silent clients over real framing, on a paused clock.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::*;
use crate::server::tests::front;

/// The end of a connection.
type Served = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Makes a client's end of a connection with a buffer of `holds` bytes, and the serving of the other end, which answers
/// every request with `answer` bytes.
fn connection(holds: usize, answer: usize) -> (DuplexStream, impl Future<Output = Served>) {
    let (client, server) = tokio::io::duplex(holds);
    let serving = async move {
        let (asked, heads, reader) = (AtomicBool::new(false), Heads::default(), SlowReader::default());
        let service = hyper::service::service_fn(|request: http::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let whole = Response::new(Body::from(vec![b'x'; answer]));
            let is_http_2 = request.version() == Version::HTTP_2;
            let response = if is_http_2 { reader.time(whole) } else { whole };
            async move { Ok::<_, Infallible>(response) }
        });
        while_reading(builder().serve_connection(io(heads.follow(server)), service), &asked, &reader).await
    };
    (client, serving)
}

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
        assert!(took <= HEAD_WITHIN * 2, "{sent}: {took:?} {served:?}");
    }
}

/// Sends a request whose body never comes. Returns the answer, and the time until the connection was closed.
async fn answer_to_silence(request: &str) -> (String, Duration) {
    let front = front().await;
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let service =
        hyper::service::service_fn(move |request| answer(front.clone(), request, true, SlowReader::default()));
    let builder = builder();
    let serving = builder.serve_connection(io(Heads::default().follow(server)), service);
    let began = Instant::now();
    let asking = async move {
        client.write_all(format!("{request}Host: localhost\r\nContent-Length: 1000\r\n\r\n").as_bytes()).await.unwrap();
        let (mut reads, mut writes) = tokio::io::split(client);
        let mut told = String::new();
        let dripping = async {
            while writes.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            read = reads.read_to_string(&mut told) => drop(read.unwrap()),
            () = dripping => {}
        }
        told
    };
    let (_, told) = tokio::join!(serving, asking);
    (told, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_dripping_body_gets_its_door_s_error_and_close() {
    let check = async |request: &str, status: &str, part: &str| {
        let (told, took) = answer_to_silence(&format!("{request} HTTP/1.1\r\n")).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")) && told.contains(part), "{request}: {told}");
        assert!(told.contains("connection: close"), "{request}: {told}");
        assert!(took < Duration::from_secs(40), "{request}: {took:?}");
    };
    let native = r#""code":"payload_timeout""#;
    check("PUT /v1/functions/f", "408", native).await;
    check("PUT /v1/functions/f/module", "408", native).await;
    check("PUT /v1/functions/f/aliases/live", "408", native).await;
    check("POST /v1/functions/f/quote", "408", native).await;
    check("POST /v1/keys", "408", native).await;
    check("POST /v1/accounts/a/deposits", "408", native).await;
    check("PUT /v1/markets/local/wasm", "408", native).await;
    check("POST /v1/providers/p/kill", "408", native).await;
    check("POST /v1/functions/f/invocations", "408", native).await;
    check("POST /fn/f/path", "408", native).await;
    check("POST /function/f", "408", "x-merit-error: payload_timeout").await;
    check("POST /2015-03-31/functions/f/invocations", "400", "x-amzn-errortype: InvalidRequestContentException").await;
}

/// Asks by HTTP/2 and takes a piece of the answer each `pause`. Returns the bytes that came.
async fn take_pieces(client: DuplexStream, pause: Duration) -> usize {
    let (mut requests, connection) = h2::client::handshake(client).await.unwrap();
    // It answers pings meanwhile.
    tokio::spawn(connection);
    let (answer, _) = requests.send_request(http::Request::get("http://a/").body(()).unwrap(), true).unwrap();
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
        assert!(!is_cut || cut_after < HEAD_WITHIN + READ_WITHIN * 2, "{cut_after:?}");
    }
}
