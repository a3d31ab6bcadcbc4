//! Bounds of messages, which come in parts of every size.

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};

use super::*;

const SESSION: &str = "/merit.v1.ProviderGateway/Session";
const UPLOAD: &str = "/merit.v1.Modules/Put";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const ANY: &str = "/merit.v1.Registry/PutFunction";

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
fn follow(path: &str, sent: Vec<u8>, part: usize, ends: bool, quota: &MessageQuota) -> (Messages<Parts>, Held) {
    let parts: Vec<_> = sent.chunks(part).map(Bytes::copy_from_slice).map(Frame::data).map(Ok).collect();
    let parts = stream::iter(parts);
    let body: Parts = match ends {
        true => Box::pin(StreamBody::new(parts)),
        false => Box::pin(StreamBody::new(parts.chain(stream::pending()))),
    };
    let request = Request::builder().uri(path).body(body).unwrap();
    let (followed, held) = Messages::follow(request, Holder::Account("one".into()), quota);
    (followed.into_body(), held)
}

async fn read(path: &str, sent: Vec<u8>, part: usize) -> Result<usize, Status> {
    let length = sent.len();
    let (messages, _held) = follow(path, sent, part, true, &MessageQuota::default());
    let all = messages.collect().await?.to_bytes();
    assert_eq!(all.len(), length);
    Ok(length)
}

#[tokio::test]
async fn messages_pass_in_parts_of_every_size() {
    let sent = [whole(3), whole(0), whole(20_000), whole(1)].concat();
    for part in [1, 2, 4, 5, 6, 7, 4_096, 1 << 20] {
        assert_eq!(read(SESSION, sent.clone(), part).await.unwrap(), sent.len(), "parts of {part}");
    }
}

async fn check(path: &str, sent: Vec<u8>, refused: bool) {
    let (length, read) = (sent.len(), read(path, sent, 10_000).await);
    assert_eq!(read.is_err(), refused, "{length} bytes to {path}");
    assert!(read.is_ok_and(|_| true) || refused);
}

#[tokio::test]
async fn a_message_beyond_its_length_is_refused_at_its_prefix() {
    check(ANY, whole(MESSAGE_MAX_BYTES), false).await;
    check(ANY, message(MESSAGE_MAX_BYTES + 1, 0), true).await;
    check(ANY, [whole(1), message(0, 0)].concat(), true).await;
    check(REFLECTION, [whole(1), whole(STRANGER_MAX_BYTES)].concat(), false).await;
    check(REFLECTION, [whole(1), message(STRANGER_MAX_BYTES + 1, 0)].concat(), true).await;
    check(SESSION, whole(STRANGER_MAX_BYTES), false).await;
    check(SESSION, message(STRANGER_MAX_BYTES + 1, 0), true).await;
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
async fn messages_of_a_holder_are_bounded_and_given_back() {
    let quota = MessageQuota::default();
    let upload = |came| follow(UPLOAD, message(UPLOAD_MAX_BYTES, came), 1 << 20, false, &quota);
    // The last is whole and waits for its answer.
    let mut held = vec![upload(UPLOAD_MAX_BYTES - 1), upload(UPLOAD_MAX_BYTES)];
    for (messages, _) in &mut held {
        read_on(messages).await.unwrap();
    }
    assert!(read_on(&mut upload(UPLOAD_MAX_BYTES).0).await.unwrap_err().message().contains("in memory"));
    held.pop();
    read_on(&mut upload(UPLOAD_MAX_BYTES).0).await.unwrap();
}

#[tokio::test]
async fn a_streams_message_is_held_until_it_is_whole() {
    let quota = MessageQuota::default();
    let mut stream = follow(SESSION, [whole(5), message(PROVIDER_MAX_BYTES, 100_000)].concat(), 1_000, false, &quota);
    read_on(&mut stream.0).await.unwrap();
    assert!(stream.1.lock().unwrap().is_some());
    let mut stream = follow(SESSION, [whole(5), whole(PROVIDER_MAX_BYTES)].concat(), 1_000, false, &quota);
    read_on(&mut stream.0).await.unwrap();
    assert!(stream.1.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_compressed_message_counts_as_what_it_may_become() {
    let quota = MessageQuota::default();
    let mut bomb = whole(10_000);
    bomb[0] = 1;
    let mut bombs = Vec::new();
    let refused = loop {
        let (mut messages, held) = follow(ANY, bomb.clone(), 1_000, true, &quota);
        match read_on(&mut messages).await {
            Ok(()) => bombs.push(held),
            Err(refused) => break refused,
        }
    };
    assert_eq!((bombs.len(), refused.code()), (HOLDER_MAX_BYTES / MESSAGE_MAX_BYTES, tonic::Code::ResourceExhausted));
}

/// Follows a call to its end. None if it does not end.
async fn ended(path: &str, sent: Vec<u8>) -> Option<Status> {
    let (messages, _held) = follow(path, sent, 100, false, &MessageQuota::default());
    tokio::time::timeout(PAUSES_WITHIN * 10, messages.collect()).await.ok()?.err()
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_rest_does_not_come_ends() {
    for came in [message(100, 10), vec![0, 0], message(1 << 20, 1 << 19)] {
        let began = Instant::now();
        assert!(ended(SESSION, [whole(5), came].concat()).await.unwrap().message().contains("in time"));
        assert!(began.elapsed() <= PAUSES_WITHIN * 4, "{:?}", began.elapsed());
    }
    assert!(ended(SESSION, whole(5)).await.is_none(), "a session may pause between messages");
    for path in [SESSION, REFLECTION, ANY] {
        assert!(ended(path, Vec::new()).await.is_some(), "{path}: nothing came");
    }
    for path in [REFLECTION, ANY] {
        assert!(ended(path, whole(5)).await.is_some(), "{path}: neither another message nor an end came");
    }
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_time_is_not_the_callers() {
    let (mut messages, _held) = follow(ANY, message(100_000, 200), 100, false, &MessageQuota::default());
    messages.frame().await.unwrap().unwrap();
    tokio::time::advance(PAUSES_WITHIN * 2).await;
    messages.frame().await.unwrap().unwrap();
    let began = Instant::now();
    while messages.frame().await.unwrap().is_ok() {}
    assert!(began.elapsed() >= PAUSES_WITHIN, "{:?}", began.elapsed());
}
