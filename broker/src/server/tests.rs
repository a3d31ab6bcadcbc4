use axum::body::Body;
use futures_util::FutureExt;
use http::{Method, header};

use super::*;
use crate::caller::DEV;

/// A broker at an exchange that nobody runs.
async fn broker(access: Access) -> Broker {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings {
        exchange: Transport::network("http://127.0.0.1:1").unwrap(),
        page: Page::Folder("nowhere".into()),
        access,
        tls: None,
        addresses: Policy::default(),
        provider_authorities: Vec::new(),
        access_log: 0.0,
    };
    Broker::new(listener, settings).unwrap()
}

/// What answers requests of a broker without keys, whose account has no limit.
pub(crate) async fn front() -> Front {
    let front = broker(Access::KeylessLoopback).await.front;
    front.state.rates.know_unlimited(DEV);
    front
}

/// What is answered without any wait.
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
async fn a_full_broker_turns_calls_away_at_once_at_every_door_and_says_when_to_come_again() {
    let front = front().await;
    let state = &front.state;
    let all_but_one = state.room.clone().try_acquire_many_owned(INVOCATIONS_MAX as u32 - 1).unwrap();
    let last = state.admit(&DEV.into()).unwrap();
    assert_eq!(state.now().in_flight, INVOCATIONS_MAX);
    check_shed(&front, "/v1/functions/f/invocations", 503, ("content-type", "application/json"));
    check_shed(&front, "/fn/f/path", 503, ("content-type", "application/json"));
    check_shed(&front, "/function/f", 503, ("x-merit-error", "overloaded"));
    check_shed(&front, "/2015-03-31/functions/f/invocations", 500, ("x-amzn-errortype", "ServiceException"));
    let health = answered_at_once(&front, Method::GET, "/healthz");
    assert_eq!(health.status(), 200, "what is no call is answered");
    let metrics = String::from_utf8(state.metrics.text(&state.now()).unwrap()).unwrap();
    assert!(metrics.contains("merit_shed_total 4"), "{metrics}");
    drop(last);
    assert!(state.admit(&DEV.into()).is_ok(), "room that is free is given");
    drop(all_but_one);
    assert_eq!(state.now().in_flight, 0);
}

#[tokio::test]
async fn one_account_leaves_room_for_others() {
    let state = broker(Access::Keys).await.front.state;
    let (ours, theirs) = (Arc::from("ours"), Arc::from("theirs"));
    let mut taken: Vec<Admitted> = (0..ACCOUNT_INVOCATIONS_MAX).map(|_| state.admit(&ours).unwrap()).collect();
    let refused = state.admit(&ours).err().unwrap();
    assert_eq!(
        (refused.status.as_u16(), refused.code.as_str(), refused.retry_after_s),
        (429, "too_many_calls", Some(1))
    );
    assert!(state.admit(&theirs).is_ok());
    taken.pop();
    assert!(state.admit(&ours).is_ok());
}

#[tokio::test]
async fn streams_of_the_market_have_a_bound_for_each_and_one_for_all() {
    let state = broker(Access::Keys).await.front.state;
    let who = |number: usize| Holder::Account(number.to_string().into());
    let mut held: Vec<_> = (0..SUBSCRIPTIONS_MAX).map(|_| state.subscribe(who(0)).unwrap()).collect();
    let refused = state.subscribe(who(0)).err().unwrap();
    assert_eq!(
        (refused.status.as_u16(), refused.code.as_str(), refused.retry_after_s),
        (429, "too_many_streams", Some(10))
    );
    held.extend((SUBSCRIPTIONS_MAX..ALL_SUBSCRIPTIONS_MAX).map(|number| state.subscribe(who(number)).unwrap()));
    let refused = state.subscribe(Holder::Peer(None)).err().unwrap();
    assert_eq!((refused.status.as_u16(), refused.code.as_str(), refused.retry_after_s), (503, "overloaded", Some(10)));
}

#[tokio::test]
async fn a_broker_that_drains_takes_no_call() {
    let front = front().await;
    front.state.stopping.cancel();
    check_shed(&front, "/v1/functions/f/invocations", 503, ("content-type", "application/json"));
    check_shed(&front, "/function/f", 503, ("x-merit-error", "unavailable"));
    assert_eq!(answered_at_once(&front, Method::GET, "/readyz").status(), 503);
}
