//! The file of the archive: four projections in one redb database, each with its checkpoint.
//!
//! Rows and checkpoint are written in one transaction, so that after any crash a projection stands exactly where its
//! checkpoint says, and the journal's later commands are applied to it once. Events are collected in memory and written
//! by [`Store::commit`]; what is read is what was written. Never reads the journal and never decides when to commit.

use std::path::Path;
use std::sync::Arc;

use merit_engine::{Engine, Event};
use merit_terms::Time;
use prost::Message;
use redb::{
    Database, Durability, Error, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};

use super::candles::Candles;
use super::invocations::Invocations;
use super::statements::Statements;
use super::tape::Tape;

/// Pages kept in memory: the ends of the tables that are written, and what was asked for lately.
const CACHE_BYTES: usize = 32 << 20;

/// By projection: its version, and the sequence and time of the last command that its rows hold.
const CHECKPOINTS: TableDefinition<&str, (u32, u64, u64)> = TableDefinition::new("checkpoints");

/// A projection: rows made of durable events.
pub(super) trait Rows {
    fn name(&self) -> &'static str;

    /// Grows when the rows come to mean something else: then they are made anew.
    fn version(&self) -> u32;

    /// The archive begins after what `engine` has applied.
    fn begin(&mut self, _engine: &Engine) {}

    /// What it needs in memory of the rows that are there.
    fn load(&mut self, _transaction: &ReadTransaction) -> Result<(), Error> {
        Ok(())
    }

    /// Collects what the command at `sequence` did.
    fn apply(&mut self, sequence: u64, at: Time, events: &[Event]);

    /// How many rows are collected.
    fn pending(&self) -> usize;

    /// Writes what is collected. Makes its tables if they are not there.
    fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error>;

    /// Removes what is kept long enough, as of `now`.
    fn retain(&self, transaction: &WriteTransaction, now: Time) -> Result<(), Error>;

    /// Removes everything.
    fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error>;
}

/// Up to where something is applied: a sequence, and when that was, which tells one journal from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
}

/// A projection and how far it is.
struct Kept {
    rows: Box<dyn Rows + Send>,
    applied: Checkpoint,
}

pub(super) struct Store {
    database: Arc<Database>,
    projections: Vec<Kept>,
}

impl Store {
    /// Opens the file, or makes it, and checks every byte of it: a damaged one is an error, never read.
    pub(super) fn open(path: &Path) -> Result<Store, Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = Arc::new(builder.create(path)?);
        let all: [Box<dyn Rows + Send>; 4] = [
            Box::new(Tape::default()),
            Box::new(Candles::default()),
            Box::new(Statements::default()),
            Box::new(Invocations::default()),
        ];
        let projections = all.into_iter().map(|rows| Kept { rows, applied: Checkpoint::default() }).collect();
        let mut store = Store { database, projections };
        store.ready()?;
        Ok(store)
    }

    /// Makes the tables, reads the checkpoints, and empties projections of another version.
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

    /// For reading what is committed.
    pub(super) fn database(&self) -> Arc<Database> {
        self.database.clone()
    }

    /// Up to where all projections are applied, written or not.
    pub(super) fn applied(&self) -> Checkpoint {
        let all = self.projections.iter().map(|kept| kept.applied);
        all.min_by_key(|checkpoint| checkpoint.sequence).unwrap_or_default()
    }

    /// Up to where the one is applied that is furthest.
    pub(super) fn furthest(&self) -> Checkpoint {
        let all = self.projections.iter().map(|kept| kept.applied);
        all.max_by_key(|checkpoint| checkpoint.sequence).unwrap_or_default()
    }

    /// Whether every projection that has rows has those of the commands up to `sequence`.
    pub(super) fn reaches(&self, sequence: u64) -> bool {
        self.projections.iter().all(|kept| kept.applied.sequence == 0 || kept.applied.sequence >= sequence)
    }

    /// An empty projection begins after what `engine` has applied.
    pub(super) fn begin(&mut self, engine: &Engine) {
        let begins = Checkpoint { sequence: engine.sequence(), at: engine.last_at() };
        for kept in self.projections.iter_mut().filter(|kept| kept.applied.sequence == 0) {
            kept.rows.begin(engine);
            kept.applied = begins;
        }
    }

    /// Takes the events of the command at `sequence` in, where they are not in yet.
    pub(super) fn apply(&mut self, sequence: u64, at: Time, events: &[Event]) {
        for kept in self.projections.iter_mut().filter(|kept| kept.applied.sequence < sequence) {
            kept.rows.apply(sequence, at, events);
            kept.applied = Checkpoint { sequence, at };
        }
    }

    /// How many rows wait to be written.
    pub(super) fn pending(&self) -> usize {
        self.projections.iter().map(|kept| kept.rows.pending()).sum()
    }

    /// Writes what is collected, with the checkpoints. With [`Durability::None`] it can be read from then on, and
    /// survives a crash once a later commit does.
    pub(super) fn commit(&mut self, durability: Durability) -> Result<(), Error> {
        self.write(durability, |_, _, _| Ok(()))
    }

    /// The same, and removes what is kept long enough.
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

/// A row as it was encoded; another one means that the file is not as it was written.
pub(super) fn read_row<T: Message + Default>(bytes: &[u8]) -> Result<T, Error> {
    T::decode(bytes).map_err(|error| Error::Corrupted(format!("a row cannot be read: {error}")))
}
