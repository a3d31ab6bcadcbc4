//! The thread that keeps the archive: applies durable commands, commits, catches up from the journal, and applies the
//! retention.
//!
//! It replays the journal for all missing commands, at its start as later: those that a crash cut off or a full queue
//! dropped, and all of them for a file that is new, damaged, or of another journal. Commands of the journal's last
//! batch may yet be cut as the end of an interrupted write; they can be read here, but are not made durable.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use merit_terms::Time;
use redb::{Durability, Error};

use super::feed::{Feed, Work};
use super::store::{Checkpoint, Store};
use crate::codec;
use crate::error_chain::chain;
use crate::history::{self, HistoryError};
use crate::replay;
use crate::sequencer::Happened;
use crate::spots::Spots;
use merit_journal::storage::Directory;
use merit_journal::{self as journal, ReadError};

pub(super) const FILE: &str = "archive.redb";
/// The name of an unusable file that was set aside; the one before it is replaced.
pub(super) const SET_ASIDE: &str = "archive.redb.set-aside";
/// Interval of durable commits, 5 s: a start replays at most that much again, and syncs seldom meet the journal's.
const DURABLE_EVERY: Duration = Duration::from_secs(5);
/// Interval of the retention, 60 s.
const RETAIN_EVERY: Duration = Duration::from_secs(60);
/// Collected rows at which they are written: some 20 MB.
const PENDING_MAX: usize = 50_000;

/// A failure after which the archive is no longer kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeeperError {
    #[error("the file {path} could not be used")]
    Store { path: PathBuf, source: Box<Error> },
    #[error("the file {path} could not be set aside")]
    SetAside { path: PathBuf, source: std::io::Error },
    #[error("the journal could not be read again")]
    Journal(#[from] ReadError),
    #[error("the journal could not be replayed")]
    Replay(#[from] HistoryError),
    #[error("the journal ends at sequence {end}, but {until} was durable")]
    Short { end: u64, until: u64 },
}

/// A file that cannot be continued.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it is damaged, or no archive: {0}")]
    Damaged(Error),
    #[error("it goes to sequence {archive}, but the journal ended at {journal}")]
    Ahead { archive: u64, journal: u64 },
    #[error("the journal has another command at its sequence {0}")]
    Foreign(u64),
    #[error("it goes to sequence {archive}, and the journal no longer reaches back further than {oldest}")]
    Outrun { archive: u64, oldest: u64 },
}

pub(super) struct Keeper {
    pub(super) feed: Arc<Feed>,
    pub(super) data_dir: PathBuf,
    /// The end of the journal when this process opened it.
    pub(super) opened_at: Checkpoint,
    /// The last sequence before the journal's last batch of this run.
    pub(super) before_last_batch: Box<dyn Fn() -> u64 + Send>,
}

/// Ends the feed if the thread panics.
struct EndOnPanic<'a>(&'a Feed);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Some("its thread panicked".to_owned()));
        }
    }
}

impl Keeper {
    /// Keeps the archive until the feed closes or a failure. The market goes on without it.
    pub(super) fn run(self) {
        let _on_panic = EndOnPanic(&self.feed);
        let failed = self.keep().err().map(|error| chain(&error));
        if let Some(reason) = &failed {
            tracing::error!("the archive is no longer kept; a restart makes it whole again: {reason}");
        }
        self.feed.end(failed);
    }

    fn keep(&self) -> Result<(), KeeperError> {
        let mut store = self.open()?;
        self.feed.set_durable(store.applied().sequence);
        let mut durable_due = Instant::now();
        let mut retain_due = durable_due + RETAIN_EVERY;
        loop {
            let mut work = self.feed.next(durable_due);
            let (asked, closing, now) = (work.asked, work.closing, Instant::now());
            let is_due = closing || now >= durable_due;
            if closing {
                let safe = self.safe();
                work.happened.retain(|one| one.sequence <= safe);
                self.take(&mut store, work)?;
                return self.make_durable(&mut store);
            }
            if is_due {
                durable_due = now + DURABLE_EVERY;
                self.make_durable(&mut store)?;
            }
            if now >= retain_due {
                retain_due = now + RETAIN_EVERY;
                store.retain(Durability::None).map_err(|source| self.store_failed(source))?;
            }
            self.take(&mut store, work)?;
            if asked || is_due {
                self.commit(&mut store, Durability::None)?;
                self.feed.show(store.applied().sequence, &store.database());
            }
        }
    }

    /// Returns the sequence up to which the journal cannot be cut any more.
    fn safe(&self) -> u64 {
        (self.before_last_batch)().max(self.opened_at.sequence)
    }

    fn commit(&self, store: &mut Store, durability: Durability) -> Result<(), KeeperError> {
        store.commit(durability).map_err(|source| self.store_failed(source))
    }

    /// Makes the applied rows durable, unless the journal may yet lose some of them.
    fn make_durable(&self, store: &mut Store) -> Result<(), KeeperError> {
        let applied = store.applied().sequence;
        if applied > self.feed.durable() && store.furthest().sequence <= self.safe() {
            self.commit(store, Durability::Immediate)?;
            self.feed.set_durable(applied);
        }
        Ok(())
    }

    fn store_failed(&self, source: Error) -> KeeperError {
        KeeperError::Store { path: self.data_dir.join(FILE), source: Box::new(source) }
    }

    /// Applies the queued commands, after those that are missing before them.
    fn take(&self, store: &mut Store, work: Work) -> Result<(), KeeperError> {
        let missing = work.happened.front().map_or(self.opened_at.sequence, |first| first.sequence - 1);
        if store.applied().sequence < missing {
            self.catch_up(store, missing)?;
        }
        for one in work.happened {
            store.apply(&one);
            if store.pending() > PENDING_MAX {
                self.commit(store, Durability::None)?;
            }
        }
        Ok(())
    }

    /// Replays the journal up to `until`, which is durable, on an engine of its own.
    fn catch_up(&self, store: &mut Store, until: u64) -> Result<(), KeeperError> {
        let (from, storage) = (store.applied().sequence, Directory::existing(&self.data_dir));
        let mut engine = history::nearest(&storage, from)?;
        tracing::info!(from, until, replay_from = engine.sequence(), "the archive catches up with the journal");
        if !store.reaches(engine.sequence()) {
            *store = self.anew(&Unusable::Outrun { archive: from, oldest: engine.sequence() })?;
        }
        store.begin(&engine);
        let mut spots = Spots::of(&engine);
        journal::read_span(&storage, engine.sequence(), until, |sequence, record| {
            let mut events = Vec::new();
            let at = replay::step(&mut engine, sequence, record, &mut events)?.at;
            events.iter().for_each(|event| spots.take(event));
            store.apply(&Happened { sequence, at, events, spots: spots.changes(), log: None });
            if store.pending() > PENDING_MAX {
                store.commit(Durability::None)?;
            }
            Ok(())
        })?;
        match engine.sequence() {
            end if end < until => Err(KeeperError::Short { end, until }),
            _ => Ok(()),
        }
    }

    /// Opens the file, if it goes on with this journal; else sets it aside and begins an empty one.
    fn open(&self) -> Result<Store, KeeperError> {
        match Store::open(&self.data_dir.join(FILE)) {
            Ok(store) => match self.unusable(&store)? {
                None => Ok(store),
                Some(unusable) => self.anew(&unusable),
            },
            Err(error) if is_damage(&error) => self.anew(&Unusable::Damaged(error)),
            Err(error) => Err(self.store_failed(error)),
        }
    }

    /// Sets an unusable file aside. Returns an empty one in its place.
    fn anew(&self, unusable: &Unusable) -> Result<Store, KeeperError> {
        let path = self.data_dir.join(FILE);
        tracing::warn!(
            "the archive {} cannot be used: {unusable}. It is set aside as {SET_ASIDE} and made anew, as far back as \
             the journal reaches",
            path.display()
        );
        let aside = self.data_dir.join(SET_ASIDE);
        std::fs::rename(&path, aside).map_err(|source| KeeperError::SetAside { path: path.clone(), source })?;
        Store::open(&path).map_err(|source| self.store_failed(source))
    }

    /// Compares a store with the journal. Returns the reason if its rows are not of this journal.
    fn unusable(&self, store: &Store) -> Result<Option<Unusable>, KeeperError> {
        let Checkpoint { sequence, at } = store.furthest();
        if sequence > self.opened_at.sequence {
            return Ok(Some(Unusable::Ahead { archive: sequence, journal: self.opened_at.sequence }));
        }
        let foreign = sequence > 0 && self.time_of(sequence)?.is_some_and(|journaled| journaled != at);
        Ok(foreign.then_some(Unusable::Foreign(sequence)))
    }

    /// Returns the time of the command at `sequence`; none if the journal no longer has it.
    fn time_of(&self, sequence: u64) -> Result<Option<Time>, KeeperError> {
        let mut found = None;
        journal::read_span(&Directory::existing(&self.data_dir), sequence - 1, sequence, |at, record| {
            if at == sequence {
                found = Some(codec::decode(record)?.0);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// Returns true for an error that means a changed file, or one that was never an archive.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::Io(error) => matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
        Error::Corrupted(_)
        | Error::UpgradeRequired(_)
        | Error::RepairAborted
        | Error::TableTypeMismatch { .. }
        | Error::TableIsMultimap(_)
        | Error::TypeDefinitionChanged { .. } => true,
        _ => false,
    }
}
