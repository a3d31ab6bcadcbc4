//! Bounds of messages, which come in parts of every size.

use std::net::{IpAddr, Ipv4Addr};

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};

use super::*;

type Parts = Pin<Box<dyn Body<Data = Bytes, Error = std::io::Error> + Send>>;

/// A message of `bytes`, of which `came` have come with its prefix.
fn message(bytes: usize, came: usize) -> Vec<u8> {
    let prefix = [&[0][..], &(bytes as u32).to_be_bytes()].concat();
    [prefix, vec![7; came]].concat()
}

fn whole(bytes: usize) -> Vec<u8> {
    message(bytes, bytes)
}

/// Follows a call whose bytes come in parts of `part`, and then, unless it `ends`, nothing more.
fn follow(path: &str, sent: Vec<u8>, part: usize, ends: bool, quota: &MessageQuota) -> Messages<Parts> {
    let parts: Vec<_> = sent.chunks(part).map(Bytes::copy_from_slice).map(Frame::data).map(Ok).collect();
    let parts = stream::iter(parts);
    let body: Parts = match ends {
        true => Box::pin(StreamBody::new(parts)),
        false => Box::pin(StreamBody::new(parts.chain(stream::pending()))),
    };
    let mut request = Request::builder().uri(path).body(body).unwrap();
    request.extensions_mut().insert(SocketAddr::from((IpAddr::V4(Ipv4Addr::LOCALHOST), 1)));
    Messages::follow(request, quota).into_body()
}

async fn read(path: &str, sent: Vec<u8>, part: usize) -> Result<usize, Status> {
    let length = sent.len();
    let all = follow(path, sent, part, true, &MessageQuota::default()).collect().await?.to_bytes();
    assert_eq!(all.len(), length);
    Ok(length)
}

#[tokio::test]
async fn messages_pass_in_parts_of_every_size() {
    let sent = [whole(3), whole(0), whole(20_000), whole(1)].concat();
    for part in [1, 2, 4, 5, 6, 7, 4_096, 1 << 20] {
        assert_eq!(read("/merit.v1.Keys/ListKeys", sent.clone(), part).await.unwrap(), sent.len(), "parts of {part}");
    }
}

async fn check(path: &str, sent: Vec<u8>, refused: bool) {
    let (length, read) = (sent.len(), read(path, sent, 10_000).await);
    assert_eq!(read.is_err(), refused, "{length} bytes to {path}");
    assert!(read.is_ok_and(|_| true) || refused);
}

#[tokio::test]
async fn a_message_beyond_its_length_is_refused_at_its_prefix() {
    let any = "/merit.v1.Registry/PutFunction";
    check(any, whole(MESSAGE_MAX_BYTES), false).await;
    check(any, message(MESSAGE_MAX_BYTES + 1, 0), true).await;
    check(SESSION, whole(LOGON_MAX_BYTES), false).await;
    check(SESSION, message(LOGON_MAX_BYTES + 1, 0), true).await;
    check(SESSION, [whole(10), whole(PROVIDER_MAX_BYTES)].concat(), false).await;
    check(SESSION, [whole(10), message(PROVIDER_MAX_BYTES + 1, 0)].concat(), true).await;
    check(UPLOAD, whole(UPLOAD_MAX_BYTES), false).await;
    check(UPLOAD, message(UPLOAD_MAX_BYTES + 1, 0), true).await;
    check(UPLOAD, [whole(1), message(1, 0)].concat(), true).await;
}

/// Reads all that has come of a call.
async fn read_on(messages: &mut Messages<Parts>) -> Result<(), Status> {
    while let Some(frame) = futures_util::FutureExt::now_or_never(messages.frame()).flatten() {
        frame?;
    }
    Ok(())
}

#[tokio::test]
async fn unfinished_messages_of_a_peer_are_bounded_and_given_back() {
    let quota = MessageQuota::default();
    let unfinished = || follow(UPLOAD, message(UPLOAD_MAX_BYTES, UPLOAD_MAX_BYTES - 1), 1 << 20, false, &quota);
    let mut held: Vec<_> = (0..PEER_MAX_BYTES / UPLOAD_MAX_BYTES).map(|_| unfinished()).collect();
    for one in &mut held {
        read_on(one).await.unwrap();
    }
    assert!(read_on(&mut unfinished()).await.unwrap_err().message().contains("on their way"));
    held.pop();
    read_on(&mut unfinished()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_rest_does_not_come_ends_its_call() {
    for came in [message(100, 10), vec![0, 0], message(1 << 20, 1 << 19)] {
        let began = Instant::now();
        let ended = follow(SESSION, [whole(5), came].concat(), 100, false, &MessageQuota::default()).collect().await;
        assert!(ended.unwrap_err().message().contains("in time"));
        assert!(began.elapsed() <= PAUSES_WITHIN * 4, "{:?}", began.elapsed());
    }
    let between = follow(SESSION, whole(5), 100, false, &MessageQuota::default()).collect();
    assert!(tokio::time::timeout(PAUSES_WITHIN * 100, between).await.is_err(), "no message is under way");
}
