//! The file of the archive: five kinds of rows in one redb database, each with its checkpoint.
//!
//! Rows and checkpoint are written in one transaction, so that after any crash the rows stand exactly where their
//! checkpoint says, and the journal's later commands are applied to them once. Events are collected in memory and
//! written by [`Store::commit`]; readers see written rows alone. Never reads the journal and never decides when to
//! commit.

use std::path::Path;
use std::sync::Arc;

use merit_engine::Engine;
use merit_terms::Time;
use redb::{Database, Durability, Error, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::candles::Candles;
use super::invocations::Invocations;
use super::logs::Logs;
use super::rows::Rows;
use super::statements::Statements;
use super::tape::Tape;
use crate::sequencer::Happened;

/// Page cache in bytes, 32 MiB: the ends of the tables being written, and recent queries.
const CACHE_BYTES: usize = 32 << 20;

/// For each kind of rows: its version, and the sequence and time of the last command in them.
const CHECKPOINTS: TableDefinition<&str, (u32, u64, u64)> = TableDefinition::new("checkpoints");

/// The last applied command: its sequence, and its time, which tells one journal from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
}

/// One kind of rows with its checkpoint.
struct Kept {
    rows: Box<dyn Rows + Send>,
    applied: Checkpoint,
}

pub(super) struct Store {
    database: Arc<Database>,
    projections: Vec<Kept>,
}

impl Store {
    /// Opens or creates the file, and checks every byte of it: a damaged one is an error, never read.
    pub(super) fn open(path: &Path) -> Result<Store, Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = Arc::new(builder.create(path)?);
        let all: [Box<dyn Rows + Send>; 5] = [
            Box::new(Tape::default()),
            Box::new(Candles::default()),
            Box::new(Statements::default()),
            Box::new(Invocations::default()),
            Box::new(Logs::default()),
        ];
        let projections = all.into_iter().map(|rows| Kept { rows, applied: Checkpoint::default() }).collect();
        let mut store = Store { database, projections };
        store.ready()?;
        Ok(store)
    }

    /// Reads the furthest durable checkpoint of the file at `path`. None without a file, and for one that cannot be
    /// read: it is damaged, and is set aside later.
    pub(super) fn furthest_in(path: &Path) -> Option<u64> {
        let transaction = Database::open(path).ok()?.begin_read().ok()?;
        let checkpoints = transaction.open_table(CHECKPOINTS).ok()?;
        let sequences = checkpoints.iter().ok()?.filter_map(|entry| entry.ok().map(|(_, value)| value.value().1));
        sequences.max()
    }

    /// Creates the tables, reads the checkpoints, and empties rows of another version.
    fn ready(&mut self) -> Result<(), Error> {
        let transaction = self.database.begin_write()?;
        {
            let checkpoints = transaction.open_table(CHECKPOINTS)?;
            for Kept { rows, applied } in &mut self.projections {
                let found = checkpoints.get(rows.name())?.map(|checkpoint| checkpoint.value());
                match found {
                    Some((version, sequence, at)) if version == rows.version() => {
                        *applied = Checkpoint { sequence, at: Time::from_micros(at) };
                    }
                    Some(_) => rows.clear(&transaction)?,
                    None => {}
                }
                rows.write(&transaction)?;
            }
        }
        transaction.commit()?;
        let transaction = self.database.begin_read()?;
        for kept in &mut self.projections {
            kept.rows.load(&transaction)?;
        }
        Ok(())
    }

    /// Returns the database, for reading committed rows.
    pub(super) fn database(&self) -> Arc<Database> {
        self.database.clone()
    }

    /// Returns the checkpoint that all kinds of rows have reached, written or not.
    pub(super) fn applied(&self) -> Checkpoint {
        let all = self.projections.iter().map(|kept| kept.applied);
        all.min_by_key(|checkpoint| checkpoint.sequence).unwrap_or_default()
    }

    /// Returns the furthest checkpoint of any kind of rows.
    pub(super) fn furthest(&self) -> Checkpoint {
        let all = self.projections.iter().map(|kept| kept.applied);
        all.max_by_key(|checkpoint| checkpoint.sequence).unwrap_or_default()
    }

    /// Returns true if every kind that has rows has those of the commands up to `sequence`.
    pub(super) fn reaches(&self, sequence: u64) -> bool {
        self.projections.iter().all(|kept| kept.applied.sequence == 0 || kept.applied.sequence >= sequence)
    }

    /// Begins every empty kind of rows after the last command of `engine`.
    pub(super) fn begin(&mut self, engine: &Engine) {
        let begins = Checkpoint { sequence: engine.sequence(), at: engine.last_at() };
        for kept in self.projections.iter_mut().filter(|kept| kept.applied.sequence == 0) {
            kept.rows.begin(engine);
            kept.applied = begins;
        }
    }

    /// Applies a command's events to all rows that do not have them yet.
    pub(super) fn apply(&mut self, one: &Happened) {
        for kept in self.projections.iter_mut().filter(|kept| kept.applied.sequence < one.sequence) {
            kept.rows.apply(one);
            kept.applied = Checkpoint { sequence: one.sequence, at: one.at };
        }
    }

    /// Returns the number of rows that wait to be written.
    pub(super) fn pending(&self) -> usize {
        self.projections.iter().map(|kept| kept.rows.pending()).sum()
    }

    /// Writes the collected rows, with the checkpoints. With [`Durability::None`] they can be read from then on, and
    /// survive a crash once a later commit does.
    pub(super) fn commit(&mut self, durability: Durability) -> Result<(), Error> {
        self.write(durability, |_, _, _| Ok(()))
    }

    /// Writes the collected rows, and removes those beyond their retention.
    pub(super) fn retain(&mut self, durability: Durability) -> Result<(), Error> {
        self.write(durability, |rows, transaction, now| rows.retain(transaction, now))
    }

    fn write(
        &mut self,
        durability: Durability,
        then: impl Fn(&dyn Rows, &WriteTransaction, Time) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut checkpoints = transaction.open_table(CHECKPOINTS)?;
            for Kept { rows, applied } in &mut self.projections {
                rows.write(&transaction)?;
                then(rows.as_ref(), &transaction, applied.at)?;
                checkpoints.insert(rows.name(), (rows.version(), applied.sequence, applied.at.micros()))?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}
