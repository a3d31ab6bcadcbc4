//! An SDK's own retries: the same call again joins the one that runs, or gets the answer of the one that ran.
//!
//! SDKs send `amz-sdk-invocation-id`, the same over all retries of one call. What was not sent is forgotten, so that a
//! retry runs. Bounded by time, count and bytes; what is forgotten earlier only runs once more, as at AWS.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

/// How long an answer is kept: longer than an SDK tries.
const KEPT: Duration = Duration::from_secs(60);
const ANSWERS_MAX: usize = 10_000;
const BYTES_MAX: usize = 64 << 20;

/// An answer as it goes out.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// In the place of the body, for the first who asks.
    pub(super) streams: Mutex<Option<Body>>,
}

impl Reply {
    /// What streams, once.
    pub(super) fn take_stream(&self) -> Option<Body> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One call of one account, by what its SDK and its content say of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(account: &str, function: &str, asked: &str, id: &[u8], body: &[u8]) -> Key {
        let mut hash = Sha256::new();
        for part in [account.as_bytes(), function.as_bytes(), asked.as_bytes(), id, body] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Key(hash.finalize().into())
    }
}

type Answer = watch::Receiver<Option<Arc<Reply>>>;

/// A call, and what its SDK says of it whatever its content is.
type Keys = (Key, Key);

/// The calls that run or ran lately. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Retries(Arc<Mutex<Calls>>);

#[derive(Default)]
struct Calls {
    by_key: HashMap<Key, Answer>,
    /// How many of them there are by what their SDKs say.
    by_id: HashMap<Key, usize>,
    /// Those that ended, oldest first.
    ended: VecDeque<(Instant, Keys, usize)>,
    bytes: usize,
}

/// What a call is: the first of its key, which is to run, or a retry.
pub(super) enum Begun {
    First(First, Answer),
    Again(Answer),
}

/// A call that is to run; dropped without an end, it is forgotten.
pub(super) struct First {
    retries: Retries,
    keys: Keys,
    answers: Option<watch::Sender<Option<Arc<Reply>>>>,
}

impl Retries {
    /// Whether a call with this id, whatever its content, runs or ran lately.
    pub(super) fn knows(&self, id: &Key, now: Instant) -> bool {
        let mut calls = self.lock();
        calls.forget(now, 0);
        calls.by_id.contains_key(id)
    }

    pub(super) fn begin(&self, key: Key, id: Key, now: Instant) -> Begun {
        let mut calls = self.lock();
        calls.forget(now, 0);
        if let Some(answer) = calls.by_key.get(&key) {
            return Begun::Again(answer.clone());
        }
        let (answers, answer) = watch::channel(None);
        calls.by_key.insert(key.clone(), answer.clone());
        *calls.by_id.entry(id.clone()).or_default() += 1;
        Begun::First(First { retries: self.clone(), keys: (key, id), answers: Some(answers) }, answer)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// Forgets what is old, and the oldest until `more` bytes have room.
    fn forget(&mut self, now: Instant, more: usize) {
        while let Some((ended_at, _, _)) = self.ended.front()
            && (now.duration_since(*ended_at) > KEPT
                || self.ended.len() >= ANSWERS_MAX
                || self.bytes + more > BYTES_MAX)
            && let Some((_, keys, bytes)) = self.ended.pop_front()
        {
            self.bytes -= bytes;
            self.remove(&keys);
        }
    }

    fn remove(&mut self, (key, id): &Keys) {
        self.by_key.remove(key);
        if let Some(count) = self.by_id.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                self.by_id.remove(id);
            }
        }
    }
}

impl First {
    /// Its answer, for those who wait and those who come again; `keep`: not for what was not sent.
    pub(super) fn end(mut self, reply: Reply, keep: bool, now: Instant) -> Arc<Reply> {
        let bytes = reply.body.len();
        {
            let mut calls = self.retries.lock();
            if keep && bytes <= BYTES_MAX {
                calls.forget(now, bytes);
                calls.bytes += bytes;
                calls.ended.push_back((now, self.keys.clone(), bytes));
            } else {
                calls.remove(&self.keys);
            }
        }
        let reply = Arc::new(reply);
        if let Some(answers) = self.answers.take() {
            answers.send_replace(Some(reply.clone()));
        }
        reply
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if self.answers.is_some() {
            self.retries.lock().remove(&self.keys);
        }
    }
}

/// Waits for the answer; none if the call's task failed.
pub(super) async fn answered(mut answer: Answer) -> Option<Arc<Reply>> {
    answer.wait_for(Option::is_some).await.ok()?.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(bytes: usize) -> Reply {
        Reply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: vec![0; bytes].into(),
            streams: Mutex::default(),
        }
    }

    fn key(id: &str) -> Key {
        Key::of("dev", "echo", "", id.as_bytes(), b"{}")
    }

    fn first(retries: &Retries, id: &str, now: Instant) -> Option<First> {
        match retries.begin(key(id), key(id), now) {
            Begun::First(first, _) => Some(first),
            Begun::Again(_) => None,
        }
    }

    #[tokio::test]
    async fn a_retry_joins_the_call_that_runs_and_gets_its_answer() {
        let (retries, now) = (Retries::default(), Instant::now());
        let running = first(&retries, "1", now).unwrap();
        let Begun::Again(waits) = retries.begin(key("1"), key("1"), now) else { panic!("it runs twice") };
        running.end(reply(3), true, now);
        assert_eq!(answered(waits).await.unwrap().body.len(), 3);
        let Begun::Again(later) = retries.begin(key("1"), key("1"), now + KEPT) else { panic!("it runs twice") };
        assert_eq!(answered(later).await.unwrap().body.len(), 3);
        assert!(retries.knows(&key("1"), now + KEPT) && !retries.knows(&key("2"), now));
        assert!(!retries.knows(&key("1"), now + KEPT * 2), "kept for a minute");
        assert!(first(&retries, "1", now + KEPT * 2).is_some());
    }

    #[test]
    fn what_was_not_sent_runs_again() {
        let (retries, now) = (Retries::default(), Instant::now());
        first(&retries, "1", now).unwrap().end(reply(3), false, now);
        drop(first(&retries, "1", now).unwrap());
        assert!(first(&retries, "1", now).is_some());
    }

    #[test]
    fn another_account_function_id_or_body_is_another_call() {
        let keys = [
            Key::of("dev", "echo", "", b"1", b"{}"),
            Key::of("other", "echo", "", b"1", b"{}"),
            Key::of("dev", "echo2", "", b"1", b"{}"),
            Key::of("dev", "echo", "Tail", b"1", b"{}"),
            Key::of("dev", "echo", "", b"2", b"{}"),
            Key::of("dev", "echo", "", b"1", b"[]"),
            Key::of("deve", "cho", "", b"1", b"{}"),
        ];
        assert_eq!(std::collections::HashSet::<&Key>::from_iter(&keys).len(), keys.len());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (retries, now) = (Retries::default(), Instant::now());
        for i in 0..100 {
            first(&retries, &i.to_string(), now).unwrap().end(reply(1 << 20), true, now);
        }
        let calls = retries.lock();
        assert_eq!((calls.bytes, calls.ended.len(), calls.by_key.len()), (BYTES_MAX, 64, 64));
    }
}
