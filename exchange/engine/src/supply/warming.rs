//! Warming: a revision that gets ready at a provider, which said so, goes behind there until it is expected to be
//! ready.
//!
//! Never a failure. Where nothing else is left, the provider is asked again once a second.

use std::collections::BTreeMap;

use merit_terms::Time;
use serde::{Deserialize, Serialize};

/// Longest time for which a provider may say that a revision gets ready, in seconds.
const LONGEST_S: u32 = 600;
/// Time after which the provider is asked again where nothing else is left, in milliseconds.
const PAUSE_MS: u64 = 1_000;
/// Maximum revisions of one provider that get ready at once; at one more the one that ends first is forgotten.
const REVISIONS_MAX: usize = 256;

/// A revision that gets ready at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Warming {
    told_at: Time,
    until: Time,
}

impl Warming {
    pub(super) fn new(at: Time, retry_after_s: u32) -> Warming {
        Warming { told_at: at, until: at.after_millis(u64::from(retry_after_s.clamp(1, LONGEST_S)) * 1000) }
    }

    pub(super) fn until(&self) -> Time {
        self.until
    }

    /// Returns the end of the pause in which the provider is not asked again.
    pub(super) fn pause(&self) -> Time {
        self.told_at.after_millis(PAUSE_MS)
    }
}

/// Enters a revision that gets ready among those of its provider. Returns the ones that go: its former entry, those
/// that are over, and the one that ends first if they are too many.
pub(super) fn enter<K: Copy + Ord>(known: &mut BTreeMap<K, Warming>, key: K, now: Warming) -> Vec<(K, Warming)> {
    let is_over = |of: &K, one: &mut Warming| *of == key || one.until <= now.told_at;
    let mut gone: Vec<(K, Warming)> = known.extract_if(.., is_over).collect();
    if known.len() >= REVISIONS_MAX
        && let Some(first) = known.iter().min_by_key(|(_, one)| one.until).map(|(of, _)| *of)
    {
        gone.extend(known.remove_entry(&first));
    }
    known.insert(key, now);
    gone
}
