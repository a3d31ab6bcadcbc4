//! Payloads and answers that stream, both ways, by curl and by hand, at a function server.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use futures_util::{StreamExt, stream};
use http::{Method, header};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::succeeds;
use crate::market::{Answer, Market, Shape};
use crate::process::{PATIENCE, Process};

/// Reports the begin of a call, and the loss of its caller.
#[derive(Clone)]
struct Reports(mpsc::UnboundedSender<&'static str>);

/// Dropped when nobody reads the answer any more.
struct Gone(Reports);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.0.send("gone").ok();
    }
}

fn part(number: u32) -> Result<Bytes, Infallible> {
    Ok(format!("data: {number}\n\n").into())
}

/// `/events`: three events, then as many as there are readers for; `/count`: how many bytes came; `/large`: 3 MB;
/// `/slowly`: five chunks, one each 100 ms; `/hangs`: never answers.
async fn serve(request: Request, seen: Reports) -> Response {
    seen.0.send("begun").ok();
    match request.uri().path() {
        "/f/events" => {
            let gone = Gone(seen);
            let parts = stream::iter(0..).then(move |number: u32| {
                let _gone = &gone;
                async move {
                    if number >= 3 {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    part(number)
                }
            });
            Response::builder()
                .header(header::CONTENT_TYPE, "text/event-stream")
                .header("merit-cost", "0")
                .header(header::SET_COOKIE, "a=b")
                .body(Body::from_stream(parts))
                .unwrap()
        }
        "/f/count" => {
            let mut body = request.into_body().into_data_stream();
            let mut bytes = 0;
            while let Some(Ok(part)) = body.next().await {
                bytes += part.len();
            }
            Response::new(Body::from(bytes.to_string()))
        }
        "/f/large" => Response::new(Body::from(vec![b'x'; 3_000_000])),
        "/f/slowly" => {
            let parts = stream::iter(0..5).then(|number: u32| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                part(number)
            });
            Response::new(Body::from_stream(parts))
        }
        "/f/hangs" => {
            let _gone = Gone(seen);
            std::future::pending().await
        }
        path => {
            let told = format!("{} {path} {:?}", request.method(), request.uri().query());
            let mut response = Response::new(Body::from(told));
            *response.headers_mut() = request.headers().clone();
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response
        }
    }
}

/// Starts a market whose function `f` runs at a function server.
async fn market(tasks: &mut JoinSet<()>) -> (Market, Process, mpsc::UnboundedReceiver<&'static str>) {
    let (sender, seen) = mpsc::unbounded_channel();
    let router = Router::new().fallback(any(move |request| serve(request, Reports(sender.clone()))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let market = Market::start(Shape::AllInOne).await;
    let provider = market.provider("server", &["--adapter", "http", "--endpoint", &endpoint]).await;
    let deployments = json!([{"provider": "server", "target": "/f"}]);
    let definition = json!({"providers": "any", "timeout_ms": 20_000, "deployments": deployments});
    let put = market.call(Method::PUT, "/v1/functions/f", &[], definition.to_string()).await;
    assert_eq!(put.status, 200, "{put:?}");
    (market, provider, seen)
}

/// Returns the next report.
async fn next(seen: &mut mpsc::UnboundedReceiver<&'static str>) -> &'static str {
    tokio::time::timeout(PATIENCE, seen.recv()).await.expect("something is seen").unwrap()
}

#[tokio::test]
async fn events_arrive_singly_and_a_leaving_reader_is_charged() {
    let mut tasks = JoinSet::new();
    let (market, _provider, mut seen) = market(&mut tasks).await;
    let mut connection = TcpStream::connect(market.http.trim_start_matches("http://")).await.unwrap();
    connection.write_all(b"GET /fn/f/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(&mut connection).lines();
    let (mut events, mut id) = (Vec::new(), String::new());
    while events.len() < 3 {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        assert!(!line.starts_with("merit-cost") && !line.starts_with("set-cookie"), "{line}");
        if let Some(found) = line.strip_prefix("merit-invocation-id: ") {
            id = found.to_owned();
        }
        events.extend(line.strip_prefix("data: ").map(str::to_owned));
    }
    assert_eq!(events, ["0", "1", "2"], "while the answer goes on");
    assert_eq!(next(&mut seen).await, "begun");
    drop(connection);
    assert_eq!(next(&mut seen).await, "gone", "the function server is told");
    let record = crate::process::eventually("what ran is settled", || async {
        let record = market.get(&format!("/v1/invocations/{id}")).await.json();
        (record["state"] == "settled").then_some(record)
    })
    .await;
    assert_ne!(record["cost"], "0", "{record}");
    assert_eq!(record["usage"]["estimated"], true, "{record}");
}

#[tokio::test]
async fn curl_streams_up_and_down() {
    let mut tasks = JoinSet::new();
    let (market, _provider, _seen) = market(&mut tasks).await;
    let curl = async |arguments: &[&str], path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "30", "--no-buffer"]).args(arguments);
        curl.arg(format!("{}/fn/f{path}", market.http)).kill_on_drop(true);
        succeeds(curl).await
    };
    let file = market.dir.path().join("large");
    std::fs::write(&file, vec![b'y'; 5_000_000]).unwrap();
    let chunked = ["--header", "Transfer-Encoding: chunked", "--upload-file", file.to_str().unwrap()];
    assert_eq!(curl(&chunked, "/count").await, "5000000");
    let sized = ["--request", "POST", "--data-binary", &format!("@{}", file.display())];
    assert_eq!(curl(&sized, "/count").await, "5000000");
    let large = curl(&["--dump-header", "-"], "/large").await;
    let (head, body) = large.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 3_000_000);
    assert!(head.contains("content-length: 3000000") && !head.contains("merit-cost"), "{head}");
    let slowly = curl(&["--dump-header", "-", "--header", "TE: trailers"], "/slowly").await;
    assert!(slowly.contains("data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n"), "{slowly}");
    assert!(slowly.contains("merit-cost: 0.0"), "as a trailer: {slowly}");
    let told = curl(&["--request", "PURGE"], "/a%2Fb/c?q=1&r=%20").await;
    assert_eq!(told, "PURGE /f/a%2Fb/c Some(\"q=1&r=%20\")");
}

#[tokio::test]
async fn a_leaving_caller_cancels_its_call_at_the_provider() {
    let mut tasks = JoinSet::new();
    let (market, _provider, mut seen) = market(&mut tasks).await;
    let mut connection = TcpStream::connect(market.http.trim_start_matches("http://")).await.unwrap();
    connection.write_all(b"GET /fn/f/hangs HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(next(&mut seen).await, "begun");
    drop(connection);
    assert_eq!(next(&mut seen).await, "gone");
}

#[tokio::test]
async fn too_large_or_broken_payloads_are_the_callers_fault() {
    let mut tasks = JoinSet::new();
    let (market, _provider, _seen) = market(&mut tasks).await;
    let too_large = market.call(Method::POST, "/fn/f/count", &[], vec![0; (20 << 20) + 1]).await;
    assert_eq!((too_large.status.as_u16(), too_large.code()), (413, "too_large".to_owned()));
    let mut connection = TcpStream::connect(market.http.trim_start_matches("http://")).await.unwrap();
    let head = "POST /fn/f/count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..21 {
        let part = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b'z'; 1 << 20], b"\r\n"].concat();
        if connection.write_all(&part).await.is_err() {
            break;
        }
    }
    let mut answer = vec![0; 4096];
    let bytes = connection.read(&mut answer).await.unwrap_or(0);
    let answer = String::from_utf8_lossy(&answer[..bytes]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // The provider is not blamed.
    assert_eq!(market.call(Method::POST, "/fn/f/count", &[], "again").await.text(), "5");
}

#[tokio::test]
async fn a_path_that_is_no_text_arrives_unchanged() {
    let mut tasks = JoinSet::new();
    let (market, _provider, _seen) = market(&mut tasks).await;
    for path in ["/%FF", "/a%C3/%C3%A9%2F%9F/", "/%e2%28%a1?q=%FF&%FE=%C0"] {
        for door in ["/fn/f", "/function/f"] {
            let answer = market.call(Method::PUT, &format!("{door}{path}"), &[], "").await;
            let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
            assert_eq!(answer.text(), format!("PUT /f{path} {query:?}"), "{door}{path}");
        }
    }
    for name in ["%FF", "f%FF", "f%00", "f%2Fg", "f%20"] {
        let refused = market.call(Method::PUT, &format!("/fn/{name}/path"), &[], "").await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "malformed"), "{name}");
        let refused = market.call(Method::PUT, &format!("/function/{name}/path"), &[], "").await;
        assert_eq!((refused.status.as_u16(), refused.header("x-merit-error")), (400, "malformed"), "{name}");
    }
    let encoded = market.call(Method::PUT, "/fn/%66:1/path", &[], "").await;
    assert_eq!(encoded.text(), "PUT /f/path None", "a name may be encoded");
}

#[tokio::test]
async fn a_dripping_payload_ends_with_the_functions_timeout() {
    let mut tasks = JoinSet::new();
    let (market, _provider, _seen) = market(&mut tasks).await;
    let deployments = json!([{"provider": "server", "target": "/f"}]);
    let definition = json!({"providers": "any", "timeout_ms": 1_000, "deployments": deployments});
    market.call(Method::PUT, "/v1/functions/g", &[], definition.to_string()).await;
    let connection = TcpStream::connect(market.http.trim_start_matches("http://")).await.unwrap();
    let (mut reads, mut writes) = connection.into_split();
    let head = "POST /fn/g/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
    writes.write_all(head.as_bytes()).await.unwrap();
    tasks.spawn(async move {
        let (mut pause, mut part) = (tokio::time::interval(Duration::from_millis(50)), vec![b'x'; 300_000]);
        while writes.write_all(&part).await.is_ok() {
            part.truncate(1);
            pause.tick().await;
        }
    });
    let mut told = vec![0; 12];
    let within = Duration::from_secs(15);
    tokio::time::timeout(within, reads.read_exact(&mut told)).await.expect("the lease's time bounds it").unwrap();
    assert_eq!(String::from_utf8(told).unwrap(), "HTTP/1.1 502");
}

#[tokio::test]
async fn an_sdk_retry_of_a_streamed_call_runs_nothing() {
    let mut tasks = JoinSet::new();
    let (market, _provider, mut seen) = market(&mut tasks).await;
    let deployments = |target: &str| json!([{"provider": "server", "target": target}]);
    for (name, target) in [("short", "/f/short"), ("large", "/f/large"), ("hangs", "/f/hangs")] {
        let definition = json!({"providers": "any", "timeout_ms": 1_000, "deployments": deployments(target)});
        market.call(Method::PUT, &format!("/v1/functions/{name}"), &[], definition.to_string()).await;
        let path = format!("/2021-11-15/functions/{name}/response-streaming-invocations");
        let headers = [("amz-sdk-invocation-id", name)];
        let call = || market.call(Method::POST, &path, &headers, "{}");
        let (first, again) = (call().await, call().await);
        for answer in [&first, &again] {
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            assert_eq!(answer.header("content-type"), "application/vnd.amazon.eventstream", "{name}");
        }
        let ids = [&first, &again].map(|answer| answer.header("merit-invocation-id"));
        assert_eq!(ids[0], ids[1], "{name}");
        let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
        match name {
            "short" => assert!(first.body == again.body && text(&first).contains("PayloadChunk"), "{again:?}"),
            "large" => assert!(first.body.len() > 3_000_000 && text(&again).contains("Merit.AnswerPassedOn")),
            // It may have run: an event says so, and no SDK retries it.
            _ => assert!(first.body == again.body && text(&first).contains("Merit."), "{}", text(&first)),
        }
        assert_eq!(next(&mut seen).await, "begun", "{name}");
    }
    // The hanging call is cut, and no other one began.
    assert_eq!((next(&mut seen).await, seen.try_recv().ok()), ("gone", None));
}
