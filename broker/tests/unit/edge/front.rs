//! A full and a draining broker at every door.

use axum::body::Body;
use futures_util::FutureExt;
use http::{Method, header};

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
    let answering = front.clone().answer(request.body(Body::from("payload")).unwrap());
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
    assert_eq!(broker.gauges().await.in_flight, 8_192);
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
