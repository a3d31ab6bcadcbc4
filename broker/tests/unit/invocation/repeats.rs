//! Repeats of calls, with a `now` that the tests make.

use super::*;

fn reply(bytes: usize) -> KeptAnswer {
    KeptAnswer {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: vec![0; bytes].into(),
        streams: Mutex::default(),
    }
}

fn key(id: &str) -> CallKey {
    CallKey::of("dev", "echo", "", id.as_bytes(), b"{}")
}

fn first(repeats: &Repeats, id: &str, now: Instant) -> Option<FirstCall> {
    match repeats.begin(key(id), key(id), now) {
        Begun::First(first, _) => Some(first),
        Begun::Again(_) => None,
    }
}

#[tokio::test]
async fn a_repeat_joins_the_running_call_and_gets_its_answer() {
    let (repeats, now) = (Repeats::default(), Instant::now());
    let running = first(&repeats, "1", now).unwrap();
    let Begun::Again(waits) = repeats.begin(key("1"), key("1"), now) else { panic!("it runs twice") };
    running.end(reply(3), true, now);
    assert_eq!(answered(waits).await.unwrap().body.len(), 3);
    let Begun::Again(later) = repeats.begin(key("1"), key("1"), now + KEPT) else { panic!("it runs twice") };
    assert_eq!(answered(later).await.unwrap().body.len(), 3);
    assert!(repeats.knows(&key("1"), now + KEPT) && !repeats.knows(&key("2"), now));
    assert!(!repeats.knows(&key("1"), now + KEPT * 2), "kept for a minute");
    assert!(first(&repeats, "1", now + KEPT * 2).is_some());
}

#[test]
fn what_was_not_sent_runs_again() {
    let (repeats, now) = (Repeats::default(), Instant::now());
    first(&repeats, "1", now).unwrap().end(reply(3), false, now);
    drop(first(&repeats, "1", now).unwrap());
    assert!(first(&repeats, "1", now).is_some());
}

#[test]
fn another_account_function_id_or_body_is_another_call() {
    let keys = [
        CallKey::of("dev", "echo", "", b"1", b"{}"),
        CallKey::of("other", "echo", "", b"1", b"{}"),
        CallKey::of("dev", "echo2", "", b"1", b"{}"),
        CallKey::of("dev", "echo", "Tail", b"1", b"{}"),
        CallKey::of("dev", "echo", "", b"2", b"{}"),
        CallKey::of("dev", "echo", "", b"1", b"[]"),
        CallKey::of("deve", "cho", "", b"1", b"{}"),
    ];
    assert_eq!(std::collections::HashSet::<&CallKey>::from_iter(&keys).len(), keys.len());
}

#[test]
fn what_is_kept_is_bounded() {
    let (repeats, now) = (Repeats::default(), Instant::now());
    for i in 0..100 {
        first(&repeats, &i.to_string(), now).unwrap().end(reply(1 << 20), true, now);
    }
    let calls = repeats.lock();
    assert_eq!((calls.bytes, calls.ended.len(), calls.by_key.len()), (BYTES_MAX, 64, 64));
}
