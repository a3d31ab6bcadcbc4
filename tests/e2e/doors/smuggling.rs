//! Request smuggling: requests that Merit and its neighbours could read differently, and headers with false claims.

use http::Method;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::market::{Market, Shape};
use crate::process::PATIENCE;

async fn connect(market: &Market) -> TcpStream {
    TcpStream::connect(market.http.trim_start_matches("http://")).await.unwrap()
}

#[tokio::test]
async fn requests_with_two_meanings_are_refused() {
    let market = Market::start(Shape::AllInOne).await;
    let _provider = market.provider("edge", &[]).await;
    market.deploy("echo", json!({})).await;
    let get = |url: &str, headers: &str| format!("GET {url} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    let malformed = [
        ("two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")),
        ("a list of lengths", post("Content-Length: 5, 6\r\n", "hello")),
        ("a signed length", post("Content-Length: +5\r\n", "hello")),
        ("a length of another base", post("Content-Length: 0x5\r\n", "hello")),
        ("another encoding last", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n")),
        ("an unknown encoding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")),
        ("chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        ("a chunk of no size", post("Transfer-Encoding: chunked\r\n", "\r\nhello\r\n0\r\n\r\n")),
        ("a chunk of a signed size", post("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n")),
        (
            "a chunk of too large a size",
            post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ),
        ("a chunk that is longer than it says", post("Transfer-Encoding: chunked\r\n", "3\r\nhello\r\n0\r\n\r\n")),
        ("a space before the colon", post("Content-Length : 5\r\n", "hello")),
        ("a folded header", post("X-A: b\r\n c\r\nContent-Length: 0\r\n", "")),
        ("a bare carriage return in a header", post("X-A: b\rContent-Length: 5\r\n", "")),
        ("a zero byte", post("X-A: \0\r\nContent-Length: 0\r\n", "")),
        ("two hosts", "GET /v1/markets HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n".to_owned()),
        ("no host", get("/v1/markets", "")),
        ("not HTTP", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned()),
    ];
    let foreign = [
        ("another host", get("/v1/markets", "Host: evil.example\r\n")),
        ("another host in the URL", get("http://evil.example/v1/markets", "Host: localhost\r\n")),
    ];
    let cases = malformed.map(|case| (case, "400")).into_iter().chain(foreign.map(|case| (case, "403")));
    for ((what, request), status) in cases {
        let told = answers(connect(&market).await, &[&request]).await;
        assert_eq!(statuses(&told), [status], "{what}: {told}");
    }
    assert_eq!(market.invoke("echo", "still here").await.text(), "still here");
}

/// Returns a request to the native door with these headers and this body.
fn post(headers: &str, body: &str) -> String {
    format!("POST /v1/functions/echo/invocations HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{body}")
}

/// Sends the parts. Returns the answers until the connection is closed.
pub(super) async fn answers(mut connection: impl AsyncRead + AsyncWrite + Unpin, parts: &[&str]) -> String {
    for part in parts {
        connection.write_all(part.as_bytes()).await.unwrap();
        connection.flush().await.unwrap();
        // Most parts come in reads of their own.
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    // A connection that is closed with unread bytes may be reset after its answer.
    drop(tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await.expect("the connection is closed"));
    String::from_utf8(answer).unwrap()
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect()
}

/// Heads that say the end of a body in two ways.
pub(super) const BOTH: [&str; 4] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "content-length: 5\r\nX: y\r\nTRANSFER-ENCODING: Chunked\r\nContent-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 0\r\n",
];
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const SMUGGLED: &str = "GET /v1/accounts HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_length_with_chunks_is_refused_and_the_connection_closed() {
    let market = Market::start(Shape::AllInOne).await;
    let _provider = market.provider("edge", &[]).await;
    market.deploy("echo", json!({})).await;
    let check = async |what: &str, parts: &[&str], expected: &[&str]| {
        let told = answers(connect(&market).await, parts).await;
        assert_eq!(statuses(&told), expected, "{what}: {told}");
        let last = told.rsplit("HTTP/1.1 ").next().unwrap();
        assert!(last.contains("connection: close") && last.contains("not both"), "{what}: {last}");
    };
    let body = format!("0\r\n\r\n{SMUGGLED}");
    for both in BOTH {
        let whole = post(both, &body);
        check("at once", &[&whole], &["400"]).await;
        let (first, second) = whole.split_at(60);
        check("a head in two parts", &[first, second], &["400"]).await;
        let (first, second) = whole.split_at(whole.find("\r\n\r\n").unwrap() + 2);
        check("its end apart", &[first, second], &["400"]).await;
        let before = [
            ("nothing", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
            ("a length", post("Content-Length: 8\r\n", "pre-sent")),
            ("chunks", post(CHUNKED, "5\r\nhello\r\n0\r\n\r\n")),
            ("another request in chunks", post(CHUNKED, &format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()))),
        ];
        for (what, before) in before {
            check(what, &[&before, &whole], &["200", "400"]).await;
            check(what, &[&format!("{before}{whole}")], &["200", "400"]).await;
        }
    }
}

#[tokio::test]
async fn each_door_refuses_a_doubtful_body_in_its_own_shape() {
    let market = Market::start(Shape::AllInOne).await;
    let told = async |path: &str| {
        let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n0\r\n\r\n", BOTH[0]);
        answers(connect(&market).await, &[&request]).await
    };
    assert!(told("/v1/functions/echo/invocations").await.contains(r#""code":"malformed""#));
    let lambda = told("/2015-03-31/functions/echo/invocations").await;
    assert!(lambda.contains("x-amzn-errortype: InvalidRequestContentException"), "{lambda}");
    assert!(told("/function/echo").await.contains("x-merit-error: malformed"));
}

#[tokio::test]
async fn chunks_alone_are_accepted_repeatedly_also_pipelined() {
    let market = Market::start(Shape::AllInOne).await;
    let _provider = market.provider("edge", &[]).await;
    market.deploy("echo", json!({})).await;
    let mut connection = connect(&market).await;
    let chunked = |number: usize| {
        let body = format!("{number:05}");
        post(CHUNKED, &format!("2\r\n{}\r\n3;x=y\r\n{}\r\n0\r\n\r\n", &body[..2], &body[2..]))
    };
    for number in 0..20 {
        connection.write_all(chunked(number).as_bytes()).await.unwrap();
        let mut told = String::new();
        while !told.ends_with(&format!("\r\n\r\n{number:05}")) {
            let mut part = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, connection.read(&mut part)).await.unwrap().unwrap();
            assert!(read > 0, "{number}: {told}");
            told.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        assert_eq!(statuses(&told), ["200"], "{told}");
    }
    let pipelined: String = (20..40).map(chunked).collect();
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let told = answers(connection, &[&pipelined, last]).await;
    assert_eq!(statuses(&told), ["200"; 21], "{told}");
    assert!((20..40).all(|number| told.contains(&format!("{number:05}"))), "{told}");
}

#[tokio::test]
async fn forged_claims_of_a_caller_never_reach_a_function() {
    let mut tasks = JoinSet::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let told = axum::Router::new().fallback(axum::routing::any(async |headers: http::HeaderMap| {
        let told: serde_json::Map<_, _> =
            headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap()))).collect();
        axum::Json(told)
    }));
    tasks.spawn(async move { axum::serve(listener, told).await.unwrap() });
    let market = Market::start(Shape::AllInOne).await;
    let _provider = market.provider("server", &["--adapter", "http", "--endpoint", &endpoint]).await;
    let definition = json!({"providers": "any", "deployments": [{"provider": "server", "target": "/"}]});
    market.call(Method::PUT, "/v1/functions/f", &[], definition.to_string()).await;
    for unknown in ["merit-lease", "merit-request", "merit-status", "merit-outcome", "merit-remote-addr"] {
        let refused = market.call(Method::GET, "/fn/f", &[(unknown, "1")], "").await;
        assert_eq!((refused.status.as_u16(), refused.code()), (400, "malformed".to_owned()), "{unknown}");
    }
    let forged = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-user", "root"),
        ("forwarded", "for=1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
        ("merit-cost", "0"),
        ("merit-invocation-id", "9-9"),
        ("connection", "x-own"),
        ("x-own", "v"),
        ("x-kept", "v"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let seen = market.call(Method::GET, "/fn/f", &forged, "").await.json();
    assert_eq!(seen["x-forwarded-for"], "127.0.0.1", "{seen}");
    assert_eq!(seen["x-forwarded-host"], market.http.trim_start_matches("http://"), "{seen}");
    assert_ne!(seen["merit-invocation-id"], "9-9", "{seen}");
    assert_eq!((&seen["x-kept"], &seen["traceparent"]), (&json!("v"), &json!(forged[11].1)), "{seen}");
    for name in ["x-forwarded-proto", "x-forwarded-user", "forwarded", "x-real-ip", "merit-cost", "x-own"] {
        assert!(seen.get(name).is_none(), "{name}: {seen}");
    }
}

#[tokio::test]
async fn metadata_services_and_other_networks_are_never_called() {
    let market = Market::start(Shape::AllInOne).await;
    let _provider =
        market.provider("server", &["--adapter", "http", "--endpoint", "http://127.0.0.1:1", "--no-probe"]).await;
    // Also where the provider's owner allows them. By IP literal, by number, by mapping and other embeddings; and
    // networks that are not public.
    for target in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://100.100.100.200/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://169.254.43518/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://0.0.0.0/",
    ] {
        let definition = json!({"providers": "any", "deployments": [{"provider": "server", "target": target}]});
        let allowed = json!({"targets": [target]}).to_string();
        let set = market.call(Method::PUT, "/v1/providers/server/targets", &[], allowed).await;
        assert_eq!(set.status, 200, "{target}: {set:?}");
        let put = market.call(Method::PUT, "/v1/functions/f", &[], definition.to_string()).await;
        assert_eq!(put.status, 200, "{target}: {put:?}");
        let refused = market.invoke("f", "").await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (502, "provider_failed"), "{target}");
        assert_eq!(refused.json()["error"]["details"]["execution"], "not_sent", "{target}");
        // The address is refused, not merely unreachable from here.
        assert!(refused.message().ends_with(" is no address that may be called"), "{target}: {refused:?}");
    }
}
