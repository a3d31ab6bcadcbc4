//! Rows in order of sequence under an owner: the tape of a market, the statement of an account.
//!
//! A key is owner, sequence, and position within the sequence; time grows with the sequence, so a time is found by
//! halving. Owns paging and retention; never decodes a row.

use std::collections::BTreeMap;

use merit_terms::Time;
use redb::{Error, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

/// Owner, sequence and position of a row.
type LogKey = (u32, u64, u32);
/// The time in microseconds, and the encoded row.
type LogValue = (u64, &'static [u8]);

/// Rows removed of an owner in one pass of retention at most, so that a commit stays short.
const REMOVED_MAX: u64 = 100_000;

/// One table of such rows.
pub(super) struct Log {
    rows: TableDefinition<'static, LogKey, LogValue>,
    /// The number of rows of each owner.
    lengths: TableDefinition<'static, u32, u64>,
    pending: Vec<(LogKey, u64, Vec<u8>)>,
}

/// The rows that a query asks for. None is no bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    /// The earliest time, inclusive.
    pub(crate) from: Option<Time>,
    /// The latest time, exclusive.
    pub(crate) to: Option<Time>,
    /// The latest sequence, exclusive.
    pub(crate) before: Option<u64>,
    /// The earliest sequence, exclusive.
    pub(crate) after: Option<u64>,
}

/// Part of a log, newest first.
#[derive(Clone, Debug)]
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<T>,
    /// The `before` of the next page; none if there is nothing further.
    pub(crate) next: Option<u64>,
}

/// One row, still encoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) at: Time,
    pub(super) row: Vec<u8>,
}

/// A row as it stands in its table.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) sequence: u64,
    pub(super) position: u32,
    pub(super) at: Time,
    pub(super) bytes: &'a [u8],
}

/// The retention of rows: their age in days, and their number in all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) days: u64,
    pub(super) rows: u64,
}

impl Keep {
    /// Returns the time before which rows are removed.
    pub(super) fn horizon(self, now: Time) -> Time {
        const DAY_US: u64 = 86_400_000_000;
        Time::from_micros(now.micros().saturating_sub(self.days.saturating_mul(DAY_US)))
    }
}

impl Log {
    pub(super) const fn new(rows: &'static str, lengths: &'static str) -> Log {
        Log { rows: TableDefinition::new(rows), lengths: TableDefinition::new(lengths), pending: Vec::new() }
    }

    /// Collects a row for [`Log::write`].
    pub(super) fn push(&mut self, owner: u32, sequence: u64, position: u32, at: Time, row: Vec<u8>) {
        self.pending.push(((owner, sequence, position), at.micros(), row));
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        let mut rows = transaction.open_table(self.rows)?;
        let mut lengths = transaction.open_table(self.lengths)?;
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable_by_key(|(key, ..)| *key);
        let mut added: BTreeMap<u32, u64> = BTreeMap::new();
        for (key, at, row) in &pending {
            rows.insert(key, (*at, row.as_slice()))?;
            *added.entry(key.0).or_default() += 1;
        }
        for (owner, added) in added {
            let before = lengths.get(owner)?.map_or(0, |length| length.value());
            lengths.insert(owner, before + added)?;
        }
        Ok(())
    }

    pub(super) fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error> {
        self.pending.clear();
        transaction.delete_table(self.rows)?;
        transaction.delete_table(self.lengths)?;
        Ok(())
    }

    /// Removes rows past their age, and the oldest rows of the owners with the most where there are too many in all.
    pub(super) fn retain(&self, transaction: &WriteTransaction, now: Time, keep: Keep) -> Result<(), Error> {
        let mut rows = transaction.open_table(self.rows)?;
        let mut lengths = transaction.open_table(self.lengths)?;
        let horizon = keep.horizon(now).micros();
        let mut all = Vec::new();
        for length in lengths.iter()? {
            let (owner, length) = length?;
            all.push((owner.value(), length.value()));
        }
        let cap = cap_for(all.iter().map(|(_, length)| *length).collect(), keep.rows);
        for (owner, length) in all {
            let (mut removed, mut last) = (0, None);
            for row in rows.range((owner, 0, 0)..=(owner, u64::MAX, u32::MAX))? {
                let (key, value) = row?;
                if removed == REMOVED_MAX || (length - removed <= cap && value.value().0 >= horizon) {
                    break;
                }
                (removed, last) = (removed + 1, Some(key.value()));
            }
            if let Some(last) = last {
                rows.retain_in((owner, 0, 0)..=last, |_, _| false)?;
                lengths.insert(owner, length - removed)?;
            }
        }
        Ok(())
    }

    /// Reads one row, if it is kept.
    pub(super) fn get(&self, transaction: &ReadTransaction, key: LogKey) -> Result<Option<Vec<u8>>, Error> {
        let rows = transaction.open_table(self.rows)?;
        Ok(rows.get(key)?.map(|row| row.value().1.to_vec()))
    }

    /// Reads the latest rows of an owner within `span`. Returns them newest first: `limit` rows, and further ones of
    /// the same sequence, so that the next page begins before the sequence of the last one.
    pub(super) fn page(
        &self,
        transaction: &ReadTransaction,
        owner: u32,
        span: Span,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let entry = |row: Row<'_>| Ok(Some(Entry { sequence: row.sequence, at: row.at, row: row.bytes.to_vec() }));
        Ok(self.select(transaction, owner, (span, usize::MAX), limit, entry)?.rows)
    }

    /// Reads the latest rows of an owner within `span` that `choose` takes, as [`Log::page`] does. Reads at most
    /// `looked_at_max` rows, and further ones of the same sequence.
    pub(super) fn select<T>(
        &self,
        transaction: &ReadTransaction,
        owner: u32,
        (span, looked_at_max): (Span, usize),
        limit: usize,
        mut choose: impl FnMut(Row<'_>) -> Result<Option<T>, Error>,
    ) -> Result<Page<T>, Error> {
        let rows = transaction.open_table(self.rows)?;
        let mut first = span.after.map_or(0, |after| after.saturating_add(1));
        if let Some(from) = span.from {
            first = first.max(first_at(&rows, owner, from)?);
        }
        let mut end = span.before.unwrap_or(u64::MAX);
        if let Some(to) = span.to {
            end = end.min(first_at(&rows, owner, to)?);
        }
        let mut page = Page { rows: Vec::new(), next: None };
        if first >= end {
            return Ok(page);
        }
        let (mut looked_at, mut last) = (0, u64::MAX);
        for row in rows.range((owner, first, 0)..(owner, end, 0))?.rev() {
            let (key, value) = row?;
            let ((_, sequence, position), (at, bytes)) = (key.value(), value.value());
            if sequence != last && (page.rows.len() >= limit || looked_at >= looked_at_max) {
                page.next = Some(last);
                break;
            }
            (looked_at, last) = (looked_at + 1, sequence);
            page.rows.extend(choose(Row { sequence, position, at: Time::from_micros(at), bytes })?);
        }
        Ok(page)
    }
}

/// Finds the first sequence of an owner at `time` or later. Returns [`u64::MAX`] if there is none.
fn first_at(rows: &impl ReadableTable<LogKey, LogValue>, owner: u32, time: Time) -> Result<u64, Error> {
    let (mut low, mut high, mut found) = (0, u64::MAX, u64::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        let Some(row) = rows.range((owner, middle, 0)..(owner, high, 0))?.next() else {
            high = middle;
            continue;
        };
        let (key, value) = row?;
        let ((_, sequence, _), (at, _)) = (key.value(), value.value());
        if at < time.micros() {
            low = sequence + 1;
        } else {
            (high, found) = (middle, sequence);
        }
    }
    Ok(found)
}

/// Computes the number of rows that each owner may keep so that there are at most `most` in all.
fn cap_for(mut lengths: Vec<u64>, most: u64) -> u64 {
    lengths.sort_unstable();
    let mut left = most;
    for (i, length) in lengths.iter().enumerate() {
        let share = left / (lengths.len() - i) as u64;
        if *length > share {
            return share;
        }
        left -= length;
    }
    u64::MAX
}
