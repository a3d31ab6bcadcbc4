//! A sorted list in chunks: an insertion moves at most one chunk.
//!
//! Owns the order; knows nothing of its entries. Insertion and removal take a binary search over the chunks and one
//! inside a chunk; walking goes through memory in order.

/// Maximum entries of a chunk; a full one splits in two.
const CHUNK_MAX: usize = 64;
/// Minimum entries of a chunk: one with fewer joins its neighbour if both fit into three quarters of a chunk.
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

    /// Walks through all entries in order.
    pub(crate) fn iter(&self) -> Walk<'_, T> {
        Walk { current: [].iter(), later: self.chunks.iter() }
    }

    /// Walks through the entries after the last one for which `before` holds. `before` must hold for a prefix of the
    /// list.
    pub(crate) fn after(&self, before: impl Fn(&T) -> bool) -> Walk<'_, T> {
        let first = self.chunks.partition_point(|chunk| before(&chunk.last));
        let (current, later) = match self.chunks.get(first..).and_then(|chunks| chunks.split_first()) {
            None => (&[][..], &[][..]),
            Some((chunk, later)) => (&chunk.entries[chunk.entries.partition_point(&before)..], later),
        };
        Walk { current: current.iter(), later: later.iter() }
    }

    /// Inserts an entry. It must not be in the list already.
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

    /// Removes an entry. Returns false if it is not in the list.
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

    /// Joins a small chunk with the next one, or the last chunk with the one before it.
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

/// An iterator over entries in order.
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
#[path = "../../tests/unit/collections/ranks.rs"]
mod tests;
