//! Payloads that are sent, sent again and cut.

use futures_util::{StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyExt;

use super::*;
use crate::quota::bodies::of_callers;
use merit_listener::{Holder, Shares};

fn body(parts: usize, bytes: usize) -> Body {
    let part = Bytes::from(vec![b'x'; bytes]);
    Body::from_stream(stream::iter((0..parts).map(move |_| Ok::<_, std::io::Error>(part.clone()))))
}

async fn read(body: Body, max_bytes: usize) -> Result<Payload, ApiError> {
    Payload::read(body, max_bytes, Room::new(&of_callers(), Holder::Peer(None))).await
}

async fn sent(payload: &Payload) -> Result<usize, BodyFault> {
    payload.body().collect().await.map(|body| body.to_bytes().len())
}

#[tokio::test]
async fn a_small_payload_may_be_sent_again_and_again() {
    let payload = read(body(3, 1000), 1 << 20).await.unwrap();
    for _ in 0..3 {
        assert_eq!((sent(&payload).await, payload.is_spent()), (Ok(3000), false));
    }
}

#[tokio::test]
async fn payloads_share_their_room_with_their_clones() {
    for bytes in [200_000, 700_000] {
        let quota = Shares::new(1_000_000, 1_000_000);
        let read = async || Payload::read(body(1, bytes), 1 << 20, Room::new(&quota, Holder::Peer(None))).await;
        let mut payloads = vec![read().await.unwrap()];
        while let Ok(payload) = read().await {
            payloads.push(payload);
        }
        let clone = payloads.pop().unwrap().clone();
        assert!(read().await.is_err(), "a clone shares it");
        drop(clone);
        assert!(read().await.is_ok());
    }
}

#[tokio::test]
async fn a_large_payload_is_sent_once() {
    let payload = read(body(10, 100_000), 1 << 20).await.unwrap();
    assert!(!payload.is_spent(), "only its beginning was read");
    assert_eq!((sent(&payload).await, payload.is_spent()), (Ok(1_000_000), true));
}

#[tokio::test]
async fn a_payload_too_large_is_refused_at_once_or_underway() {
    let said = read(Body::from(vec![0; 1001]), 1000).await.unwrap_err();
    assert_eq!(said.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let payload = read(body(10, 200_000), 1_000_000).await.unwrap();
    assert_eq!(sent(&payload).await, Err(BodyFault::TooLarge));
    assert_eq!(payload.fault().unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_slow_caller_is_cut() {
    let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; 300_000]))]);
    let never = Body::from_stream(first.chain(stream::pending()));
    let payload = read(never, 1_000_000).await.unwrap();
    assert_eq!(sent(&payload).await, Err(BodyFault::TooSlow));
    let error = read(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()), 9).await;
    assert_eq!(error.unwrap_err().status(), StatusCode::REQUEST_TIMEOUT);
}
