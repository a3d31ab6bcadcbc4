//! A sorted list in chunks, so that an insertion moves little: offers of one form by price, providers by score.
//!
//! Owns the order; knows nothing of what it orders. Insertion and removal take a binary search over the chunks and one
//! inside a chunk; walking goes through memory in order.

/// The most entries of a chunk; a full one splits in two.
const CHUNK_MAX: usize = 64;
/// A chunk with fewer is joined with its neighbour, where both fit in three quarters of one.
const CHUNK_MIN: usize = 16;

#[derive(Clone, Debug)]
struct Chunk<T> {
    last: T,
    entries: Vec<T>,
}

/// The sorted list.
#[derive(Clone, Debug)]
pub(crate) struct Ranks<T> {
    chunks: Vec<Chunk<T>>,
    len: usize,
}

impl<T> Default for Ranks<T> {
    fn default() -> Ranks<T> {
        Ranks { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Copy + Ord> Ranks<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.chunks.first()?.entries.first()
    }

    /// All entries in order.
    pub(crate) fn iter(&self) -> Walk<'_, T> {
        Walk { current: [].iter(), later: self.chunks.iter() }
    }

    /// The entries behind those that are `before`, in order; an entry before one that is `before` must be so too.
    pub(crate) fn after(&self, before: impl Fn(&T) -> bool) -> Walk<'_, T> {
        let first = self.chunks.partition_point(|chunk| before(&chunk.last));
        let (current, later) = match self.chunks.get(first..).and_then(|chunks| chunks.split_first()) {
            None => (&[][..], &[][..]),
            Some((chunk, later)) => (&chunk.entries[chunk.entries.partition_point(&before)..], later),
        };
        Walk { current: current.iter(), later: later.iter() }
    }

    /// Adds an entry that is not there.
    pub(crate) fn insert(&mut self, entry: T) {
        self.len += 1;
        if self.chunks.is_empty() {
            let mut entries = Vec::with_capacity(4);
            entries.push(entry);
            self.chunks.push(Chunk { last: entry, entries });
            return;
        }
        let at = self.chunks.partition_point(|chunk| chunk.last < entry).min(self.chunks.len() - 1);
        let chunk = &mut self.chunks[at];
        let position = chunk.entries.partition_point(|other| *other < entry);
        chunk.entries.insert(position, entry);
        chunk.last = chunk.last.max(entry);
        if chunk.entries.len() >= CHUNK_MAX {
            let upper = chunk.entries.split_off(CHUNK_MAX / 2);
            let last = std::mem::replace(&mut chunk.last, chunk.entries[CHUNK_MAX / 2 - 1]);
            self.chunks.insert(at + 1, Chunk { last, entries: upper });
        }
    }

    /// Takes an entry out; whether it was there.
    pub(crate) fn remove(&mut self, entry: T) -> bool {
        let at = self.chunks.partition_point(|chunk| chunk.last < entry);
        let Some(chunk) = self.chunks.get_mut(at) else { return false };
        let Ok(position) = chunk.entries.binary_search(&entry) else { return false };
        chunk.entries.remove(position);
        self.len -= 1;
        match chunk.entries.last() {
            None => {
                self.chunks.remove(at);
            }
            Some(last) => {
                chunk.last = *last;
                if chunk.entries.len() < CHUNK_MIN {
                    self.join(at);
                }
            }
        }
        true
    }

    /// Joins a small chunk with the one after it, or the one before it if it is the last.
    fn join(&mut self, at: usize) {
        let at = if at + 1 < self.chunks.len() { at } else { at.saturating_sub(1) };
        let Some(next) = self.chunks.get(at + 1) else { return };
        if self.chunks[at].entries.len() + next.entries.len() > CHUNK_MAX * 3 / 4 {
            return;
        }
        let next = self.chunks.remove(at + 1);
        self.chunks[at].entries.extend(next.entries);
        self.chunks[at].last = next.last;
    }
}

/// A walk through entries in order.
pub(crate) struct Walk<'a, T> {
    current: std::slice::Iter<'a, T>,
    later: std::slice::Iter<'a, Chunk<T>>,
}

impl<'a, T> Iterator for Walk<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        match self.current.next() {
            Some(entry) => Some(entry),
            None => {
                self.current = self.later.next()?.entries.iter();
                self.current.next()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn orders_as_a_sorted_set_does_after_every_step() {
        for (seed, rates) in [(1, 3), (2, 1_000_000), (3, 40)] {
            let (mut chance, mut ranks, mut twin) = (Pcg64::seed_from_u64(seed), Ranks::default(), BTreeSet::new());
            for step in 0..6_000_u64 {
                let grow = step % 3_000 < 2_000;
                if chance.random_ratio(if grow { 3 } else { 1 }, 4) {
                    let rate = chance.random_range(0..rates);
                    let entry = (rate, chance.random_range(0..9), step);
                    ranks.insert(entry);
                    twin.insert(entry);
                } else if let Some(entry) = twin.iter().nth(chance.random_range(0..twin.len().max(1))).copied() {
                    assert!(ranks.remove(entry) && twin.remove(&entry));
                    assert!(!ranks.remove(entry), "seed {seed}");
                }
                assert_eq!((ranks.first(), ranks.is_empty()), (twin.first(), twin.is_empty()));
                if step % 50 == 0 {
                    assert!(ranks.iter().eq(twin.iter()), "seed {seed}, step {step}");
                    let rate = chance.random_range(0..=rates);
                    let after = ranks.after(|entry| entry.0 < rate);
                    assert!(after.eq(twin.iter().filter(|entry| entry.0 >= rate)), "seed {seed}");
                }
            }
        }
    }
}
