//! The cache of keys. Holds keys that were found, and for a moment ids that no key has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::exchange::keys::KeySecrets;

/// Time to live of a key while the watch is on.
const WATCHED_FOR: Duration = Duration::from_secs(60);
/// Time to live of a key without a watch, and of an id that no key has.
const UNWATCHED_FOR: Duration = Duration::from_secs(2);
/// Keys in the cache; at one more it is cleared.
const KEYS_MAX: usize = 10_000;

/// The cache of keys by id.
#[derive(Default)]
pub(super) struct KeyCache {
    by_id: HashMap<String, CachedKey>,
    is_watched: bool,
    /// Count of changes: an answer that was asked for before the last change is not cached.
    changes: u64,
}

struct CachedKey {
    until: Instant,
    /// None: no key has the id.
    key: Option<Arc<KeySecrets>>,
}

/// A miss, with the count of changes at which it happened.
#[derive(Clone, Copy)]
pub(super) struct Miss(u64);

impl KeyCache {
    pub(super) fn get(&self, id: &str) -> Result<Option<Arc<KeySecrets>>, Miss> {
        match self.by_id.get(id) {
            Some(cached) if cached.until > Instant::now() => Ok(cached.key.clone()),
            _ => Err(Miss(self.changes)),
        }
    }

    /// Caches the answer to a miss, unless keys changed meanwhile.
    pub(super) fn put(&mut self, id: &str, key: Option<Arc<KeySecrets>>, missed: Miss) {
        if self.changes != missed.0 {
            return;
        }
        if self.by_id.len() >= KEYS_MAX {
            // Made-up ids do not push out real ones.
            if key.is_none() {
                return;
            }
            self.by_id.clear();
        }
        let time_to_live = if self.is_watched && key.is_some() { WATCHED_FOR } else { UNWATCHED_FOR };
        self.by_id.insert(id.to_owned(), CachedKey { until: Instant::now() + time_to_live, key });
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.changes += 1;
        self.by_id.remove(id);
    }

    /// Clears the cache as the watch begins or ends.
    pub(super) fn forget_all(&mut self, is_watched: bool) {
        self.changes += 1;
        self.by_id.clear();
        self.is_watched = is_watched;
    }
}
