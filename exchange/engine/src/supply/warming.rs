//! Warming: a provider that loads a revision's module is behind for it until the time that it named. No failure.
//!
//! If nothing else is left, it is asked again after a second.

use std::collections::BTreeMap;

use merit_terms::{Time, WARMING_MAX_S};
use serde::{Deserialize, Serialize};

/// Pause before a warming provider is asked again where nothing else is left, in milliseconds.
const PAUSE_MS: u64 = 1_000;
/// Maximum warming revisions of one provider; one more replaces the first to end.
const REVISIONS_MAX: usize = 256;

/// A revision whose module a provider loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Warming {
    told_at: Time,
    until: Time,
}

impl Warming {
    pub(super) fn new(at: Time, retry_after_s: u32) -> Warming {
        Warming { told_at: at, until: at.after_millis(u64::from(retry_after_s.clamp(1, WARMING_MAX_S)) * 1000) }
    }

    pub(super) fn until(&self) -> Time {
        self.until
    }

    /// Returns the end of the pause in which the provider is not asked again.
    pub(super) fn pause_ends(&self) -> Time {
        self.told_at.after_millis(PAUSE_MS)
    }
}

/// Enters a warming revision. Returns the removed entries: its former one, those that ended, and the first to end if
/// there are too many.
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

#[cfg(test)]
#[path = "../../tests/unit/supply/warming.rs"]
mod tests;
