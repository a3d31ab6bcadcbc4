//! A full and a draining broker, and bodies that never come, at every door.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;
use crate::caller::DEV;
use crate::quota::admission::tests::take_all_but_one;
use crate::server::tests::front;

impl Front {
    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }
}

/// Returns an answer that comes without any wait.
fn answered_at_once(front: &Front, method: Method, path: &str) -> Response {
    let request = http::Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let answering = front.clone().answered(request.body(Body::from("payload")).unwrap());
    answering.now_or_never().unwrap_or_else(|| panic!("{path} waits"))
}

fn check_shed(front: &Front, path: &str, status: u16, named: (&str, &str)) {
    let answer = answered_at_once(front, Method::POST, path);
    assert_eq!(answer.status(), status, "{path}");
    assert_eq!(answer.headers()[header::RETRY_AFTER], "1", "{path}: {:?}", answer.headers());
    assert_eq!(answer.headers()[named.0], named.1, "{path}: {:?}", answer.headers());
}

#[tokio::test]
async fn a_full_broker_turns_calls_away_at_once_everywhere() {
    let front = front().await;
    let broker = &front.broker;
    let all_but_one = take_all_but_one(&broker.admission);
    let last = broker.admission.invocation(&DEV.into()).unwrap();
    assert_eq!(broker.gauges().await.in_flight, broker.admission.in_flight());
    assert!(broker.admission.in_flight() >= 2);
    check_shed(&front, "/v1/functions/f/invocations", 503, ("content-type", "application/json"));
    check_shed(&front, "/fn/f/path", 503, ("content-type", "application/json"));
    check_shed(&front, "/function/f", 503, ("x-merit-error", "overloaded"));
    check_shed(&front, "/2015-03-31/functions/f/invocations", 500, ("x-amzn-errortype", "ServiceException"));
    let health = answered_at_once(&front, Method::GET, "/healthz");
    assert_eq!(health.status(), 200, "what is no call is answered");
    let metrics = String::from_utf8(broker.metrics.text(&broker.gauges().await).unwrap()).unwrap();
    assert!(metrics.contains("merit_shed_total 4"), "{metrics}");
    drop(last);
    assert!(broker.admission.invocation(&DEV.into()).is_ok(), "room that is free is given");
    drop(all_but_one);
    assert_eq!(broker.gauges().await.in_flight, 0);
}

#[tokio::test]
async fn a_broker_that_drains_takes_no_call() {
    let front = front().await;
    front.broker.stopping.cancel();
    check_shed(&front, "/v1/functions/f/invocations", 503, ("content-type", "application/json"));
    check_shed(&front, "/function/f", 503, ("x-merit-error", "unavailable"));
    assert_eq!(answered_at_once(&front, Method::GET, "/readyz").status(), 503);
}

/// Sends a request whose body never comes. Returns the answer, and the time until the connection was closed.
async fn answer_to_silence(request: &str) -> (String, Duration) {
    let front = front().await;
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let service = service_fn(move |request| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(Answer::answer(&front, request).await) }
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(server), service);
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
