//! Repeats of a call, such as an SDK's retries: the same call again joins the one that runs, or gets its answer.
//!
//! A call is the same by its key, such as an SDK's `amz-sdk-invocation-id` and its content. A call that was not sent is
//! forgotten, so that a repeat runs. Bounded by time, count and bytes: a call that is forgotten early runs once more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

/// Time to live of an answer: longer than an SDK tries.
const KEPT: Duration = Duration::from_secs(60);
const ANSWERS_MAX: usize = 10_000;
const BYTES_MAX: usize = 64 << 20;

/// An answer as it goes out.
#[derive(Debug)]
pub(crate) struct KeptAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body of an answer that streams, for the first who asks.
    pub(crate) streams: Mutex<Option<Body>>,
}

impl KeptAnswer {
    /// Takes the body that streams, once.
    pub(crate) fn take_stream(&self) -> Option<Body> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The key of a call: a hash of the account, the function, and what the client and the content say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallKey([u8; 32]);

impl CallKey {
    pub(crate) fn of(account: &str, function: &str, asked: &str, id: &[u8], body: &[u8]) -> CallKey {
        let mut hash = Sha256::new();
        for part in [account.as_bytes(), function.as_bytes(), asked.as_bytes(), id, body] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        CallKey(hash.finalize().into())
    }
}

type AnswerWatch = watch::Receiver<Option<Arc<KeptAnswer>>>;

/// The key of a call, and its key without the content.
type CallKeys = (CallKey, CallKey);

/// The calls that run or ran lately. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Repeats(Arc<Mutex<RecentCalls>>);

#[derive(Default)]
struct RecentCalls {
    by_key: HashMap<CallKey, AnswerWatch>,
    /// Count of calls by their key without the content.
    by_id: HashMap<CallKey, usize>,
    /// Calls that ended, oldest first, with the bytes of their answers.
    ended: VecDeque<(Instant, CallKeys, usize)>,
    bytes: usize,
}

/// A call as it begins: the first of its key, or a repeat.
pub(crate) enum Begun {
    First(FirstCall, AnswerWatch),
    Again(AnswerWatch),
}

/// A call that runs. Dropped without an end, it is forgotten.
pub(crate) struct FirstCall {
    repeats: Repeats,
    keys: CallKeys,
    answers: Option<watch::Sender<Option<Arc<KeptAnswer>>>>,
}

impl Repeats {
    /// Returns true if a call with this key, whatever its content, runs or ran lately.
    pub(crate) fn knows(&self, id: &CallKey, now: Instant) -> bool {
        let mut calls = self.lock();
        calls.forget(now, 0);
        calls.by_id.contains_key(id)
    }

    pub(crate) fn begin(&self, key: CallKey, id: CallKey, now: Instant) -> Begun {
        let mut calls = self.lock();
        calls.forget(now, 0);
        if let Some(answer) = calls.by_key.get(&key) {
            return Begun::Again(answer.clone());
        }
        let (answers, answer) = watch::channel(None);
        calls.by_key.insert(key.clone(), answer.clone());
        *calls.by_id.entry(id.clone()).or_default() += 1;
        Begun::First(FirstCall { repeats: self.clone(), keys: (key, id), answers: Some(answers) }, answer)
    }

    fn lock(&self) -> MutexGuard<'_, RecentCalls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentCalls {
    /// Forgets expired calls, and the oldest until `more` bytes have room.
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

    fn remove(&mut self, (key, id): &CallKeys) {
        self.by_key.remove(key);
        if let Some(count) = self.by_id.get_mut(id) {
            *count -= 1;
            if *count == 0 {
                self.by_id.remove(id);
            }
        }
    }
}

impl FirstCall {
    /// Ends the call with its answer for all who wait. Keeps it for later repeats if `keep` is set.
    pub(crate) fn end(mut self, reply: KeptAnswer, keep: bool, now: Instant) -> Arc<KeptAnswer> {
        let bytes = reply.body.len();
        {
            let mut calls = self.repeats.lock();
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

impl Drop for FirstCall {
    fn drop(&mut self) {
        if self.answers.is_some() {
            self.repeats.lock().remove(&self.keys);
        }
    }
}

/// Waits for the answer. Returns none if the call's task failed.
pub(crate) async fn answered(mut answer: AnswerWatch) -> Option<Arc<KeptAnswer>> {
    answer.wait_for(Option::is_some).await.ok()?.clone()
}

#[cfg(test)]
#[path = "../../tests/unit/invocation/repeats.rs"]
mod tests;
