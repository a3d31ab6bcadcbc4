//! Answers that break off, are too long, or claim to be Merit's: their effect at each door.

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::market::{Market, Shape};
use crate::process::{PATIENCE, Process, eventually};

/// Doors that stream answers, with the function `f`.
const STREAMING: [&str; 4] =
    ["/v1/functions/f/invocations", "/fn/f", "/function/f", "/2021-11-15/functions/f/response-streaming-invocations"];

const LAMBDA: &str = "/2015-03-31/functions/f/invocations";

/// Reads the head of a request. Returns its path.
async fn path(connection: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if connection.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8_lossy(&request).split(' ').nth(1).map(str::to_owned)
}

fn chunk(bytes: usize) -> Vec<u8> {
    [format!("{bytes:x}\r\n").as_bytes(), &vec![b'x'; bytes], b"\r\n"].concat()
}

fn with_length(said: usize, sent: usize) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {said}\r\n\r\n").as_bytes(), &vec![b'x'; sent]].concat()
}

/// Returns the bytes that a function server sends before it closes the connection.
fn answer(path: &str) -> Vec<u8> {
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    match path {
        "/short" => with_length(50, 5),
        "/long-short" => with_length(1_000_000, 300_000),
        "/endless" => [chunked, chunk(5)].concat(),
        "/long-endless" => [chunked, chunk(300_000)].concat(),
        "/in-a-chunk" => [chunked, chunk(300_000), b"1000\r\nhalf".to_vec()].concat(),
        "/whole" => [chunked, chunk(300_000), b"0\r\n\r\n".to_vec()].concat(),
        "/413" => b"HTTP/1.1 413 Mine\r\nContent-Length: 4\r\n\r\nmine".to_vec(),
        "/too-long" => chunked,
        "/says-too-long" => with_length((20 << 20) + 1, 0),
        "/claims" => [
            b"HTTP/1.1 200 OK\r\nConnection: x-named, close\r\nX-Named: 1\r\nKeep-Alive: timeout=5\r\n".to_vec(),
            b"Proxy-Authenticate: Basic\r\nAlt-Svc: h3=\":1\"\r\nSet-Cookie: a=b\r\nUpgrade: h2c\r\nTrailer: x\r\n"
                .to_vec(),
            b"Access-Control-Allow-Origin: *\r\nRefresh: 0;url=http://evil\r\nReport-To: {}\r\nNEL: {}\r\n".to_vec(),
            b"Merit-Cost: 0\r\nMerit-Own: 1\r\nX-Kept: 1\r\nContent-Length: 4\r\n\r\nwell".to_vec(),
        ]
        .concat(),
        other => panic!("{other}"),
    }
}

async fn serve(mut connection: TcpStream) {
    let Some(path) = path(&mut connection).await else { return };
    if connection.write_all(&answer(&path)).await.is_err() {
        return;
    }
    // It sends until nobody reads any more.
    while (path == "/too-long" || path == "/says-too-long") && connection.write_all(&chunk(1 << 20)).await.is_ok() {}
}

/// Starts a market whose function `f` answers in one way.
async fn market(target: &str, tasks: &mut JoinSet<()>) -> (Market, Process) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    let market = Market::start(Shape::AllInOne).await;
    let provider = market.provider("server", &["--adapter", "http", "--endpoint", &endpoint]).await;
    point_to(&market, target).await;
    (market, provider)
}

async fn point_to(market: &Market, target: &str) {
    let definition = json!({"providers": "any", "deployments": [{"provider": "server", "target": target}]});
    let put = market.call(Method::PUT, "/v1/functions/f", &[], definition.to_string()).await;
    assert_eq!(put.status, 200, "{put:?}");
}

/// The bytes of an answer.
struct Raw {
    head: String,
    body: Vec<u8>,
}

impl Raw {
    async fn of(market: &Market, path: &str) -> Raw {
        let mut connection = TcpStream::connect(market.http.trim_start_matches("http://")).await.unwrap();
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut bytes)).await.expect("an end in time");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{path}: {read:?}"));
        Raw { head: String::from_utf8_lossy(&bytes[..end]).into_owned(), body: bytes.split_off(end + 4) }
    }

    fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Returns whether its framing says that it is complete.
    fn is_whole(&self) -> bool {
        match self.header("content-length") {
            Some(length) => self.body.len() == length.parse::<usize>().unwrap(),
            None => self.body.ends_with(b"0\r\n\r\n"),
        }
    }

    async fn record(&self, market: &Market) -> Value {
        let id = self.header("merit-invocation-id").unwrap_or_else(|| panic!("{}", self.head));
        eventually("the call has ended", || async {
            let record = market.get(&format!("/v1/invocations/{id}")).await.json();
            (record["state"] != "running").then_some(record)
        })
        .await
    }
}

#[tokio::test]
async fn a_broken_long_answer_is_nowhere_whole_and_costs_nothing() {
    let mut tasks = JoinSet::new();
    // Nothing but the end differs between the two here.
    let (market, _server) = market("/whole", &mut tasks).await;
    for door in STREAMING {
        let answer = Raw::of(&market, door).await;
        assert!(answer.is_whole() && answer.body.len() > 300_000, "{door}: {}", answer.head);
    }
    for target in ["/long-short", "/long-endless", "/in-a-chunk"] {
        for door in STREAMING {
            let (market, _server) = self::market(target, &mut tasks).await;
            let answer = Raw::of(&market, door).await;
            assert_eq!(answer.status(), 200, "{target}, {door}: it had begun");
            assert!(!answer.is_whole(), "{target}, {door}: {}", answer.head);
            assert!(answer.body.len() > 100_000, "{target}, {door}: what came is passed on");
            let is_complete = answer.body.windows(14).any(|bytes| bytes == b"InvokeComplete");
            assert!(!is_complete, "{target}, {door}: no event says that it is complete");
            let record = answer.record(&market).await;
            assert_eq!(record["attempts"][0]["outcome"], "unknown", "{target}, {door}: {record}");
        }
    }
}

#[tokio::test]
async fn a_broken_short_answer_fails_at_every_door() {
    let mut tasks = JoinSet::new();
    for target in ["/short", "/endless"] {
        for door in &STREAMING[..3] {
            let (market, _server) = market(target, &mut tasks).await;
            let answer = Raw::of(&market, door).await;
            // An answer of unknown length may have begun to stream before it broke.
            let streamed = answer.status() == 200 && !answer.is_whole();
            assert!(answer.status() == 502 || (target == "/endless" && streamed), "{target}, {door}: {}", answer.head);
        }
        for (door, says) in [
            (LAMBDA, "x-amz-function-error: Unhandled"),
            (STREAMING[3], "content-type: application/vnd.amazon.eventstream"),
        ] {
            let (market, _server) = market(target, &mut tasks).await;
            let answer = Raw::of(&market, door).await;
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            let failed = answer.head.contains(says) && told.contains("Merit.ProviderFailed");
            assert!(failed || !answer.is_whole(), "{target}, {door}: {}\n{told}", answer.head);
        }
    }
}

#[tokio::test]
async fn an_answer_past_its_limit_is_broken_off_and_charged() {
    let mut tasks = JoinSet::new();
    let (market, _server) = market("/too-long", &mut tasks).await;
    for door in STREAMING {
        let answer = Raw::of(&market, door).await;
        assert_eq!((answer.status(), answer.is_whole()), (200, false), "{door}: {}", answer.head);
        // Events have heads of their own, and so have chunks.
        assert!((15 << 20..22 << 20).contains(&answer.body.len()), "{door}: {}", answer.body.len());
        assert_eq!(answer.header("merit-cost"), None, "{door}: it was not known yet");
        let record = answer.record(&market).await;
        assert_eq!(
            (&record["state"], &record["outcome"]),
            (&json!("settled"), &json!("output_limit")),
            "{door}: {record}"
        );
        assert_eq!(record["attempts"][0]["outcome"], "executed", "{door}: {record}");
        assert_ne!(record["cost"], "0", "{door}: {record}");
    }
    // A too long answer is no failure of the provider.
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["health"], json!([]), "{listed}");
}

#[tokio::test]
async fn a_stated_length_past_its_limit_is_refused_unread() {
    let mut tasks = JoinSet::new();
    let (market, _server) = market("/says-too-long", &mut tasks).await;
    for door in STREAMING.into_iter().chain([LAMBDA]) {
        let answer = Raw::of(&market, door).await;
        let told = String::from_utf8_lossy(&answer.body);
        match door {
            _ if door.starts_with("/20") => {
                assert_eq!(answer.status(), 200, "{door}: {}", answer.head);
                assert!(told.contains("Function.ResponseSizeTooLarge"), "{door}: {told}");
            }
            _ => {
                assert_eq!(answer.status(), 500, "{door}: {}", answer.head);
                assert!(told.contains("output_limit"), "{door}: {told}");
            }
        }
        assert!(answer.is_whole() && answer.body.len() < 1000, "{door}: {}", answer.body.len());
        let record = answer.record(&market).await;
        let ended = (&record["state"], &record["outcome"], &record["egress_bytes"]);
        assert_eq!(ended, (&json!("settled"), &json!("output_limit"), &json!(0)), "{door}: {record}");
        assert_eq!(record["attempts"][0]["outcome"], "executed", "{door}: {record}");
    }
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["health"], json!([]), "no failure of the provider: {listed}");
}

#[tokio::test]
async fn a_functions_own_413_passes_unchanged_and_is_charged() {
    let mut tasks = JoinSet::new();
    let (market, _server) = market("/413", &mut tasks).await;
    for door in &STREAMING[..3] {
        let answer = Raw::of(&market, door).await;
        assert_eq!((answer.status(), &answer.body[..]), (413, &b"mine"[..]), "{door}: {}", answer.head);
        assert_ne!(answer.header("merit-cost"), Some("0"), "{door}: {}", answer.head);
        assert_eq!(answer.record(&market).await["attempts"][0]["outcome"], "executed", "{door}");
    }
    let answer = Raw::of(&market, LAMBDA).await;
    assert_eq!((answer.status(), answer.header("x-amz-function-error")), (200, Some("Unhandled")), "{}", answer.head);
}

#[tokio::test]
async fn connection_and_merit_headers_of_function_servers_are_dropped() {
    let mut tasks = JoinSet::new();
    let (market, _server) = market("/claims", &mut tasks).await;
    for door in &STREAMING[..3] {
        let answer = Raw::of(&market, door).await;
        assert_eq!((answer.status(), answer.header("x-kept")), (200, Some("1")), "{door}: {}", answer.head);
        assert_ne!(answer.header("merit-cost"), Some("0"), "{door}: {}", answer.head);
        for name in ["x-named", "keep-alive", "proxy-authenticate", "upgrade", "trailer", "merit-own"] {
            assert_eq!(answer.header(name), None, "{door}: {}", answer.head);
        }
        for name in ["alt-svc", "set-cookie", "access-control-allow-origin", "refresh", "report-to", "nel"] {
            assert_eq!(answer.header(name), None, "{door}: {}", answer.head);
        }
    }
}
