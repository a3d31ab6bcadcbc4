//! Reads of the past: the part that is asked for, and a page of it.

use merit_terms::Time;

/// The part of the past that a reader asks for; none sets no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) from: Option<Time>,
    pub(crate) to: Option<Time>,
    pub(crate) limit: Option<u32>,
    /// Only rows of a lower sequence.
    pub(crate) before: Option<u64>,
}

/// A page of a list, newest first.
#[derive(Debug)]
pub(crate) struct ListPage<T> {
    pub(crate) rows: Vec<T>,
    /// The sequence before which the next page begins; none if there is none.
    pub(crate) next: Option<u64>,
}

impl<T> ListPage<T> {
    /// Makes a page of messages and the `next` beside them, which is 0 for none.
    pub(super) fn of<M: Into<T>>(rows: Vec<M>, next: u64) -> ListPage<T> {
        ListPage { rows: rows.into_iter().map(Into::into).collect(), next: (next > 0).then_some(next) }
    }
}

/// Returns microseconds since 1970; 0 for no bound.
pub(super) fn micros(time: Option<Time>) -> u64 {
    time.map_or(0, Time::micros)
}
