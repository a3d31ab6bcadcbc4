//! The interface of one kind of archived rows, and the decoding of a row.
//!
//! It never commits: the store does, for all kinds in one transaction.

use merit_engine::Engine;
use merit_terms::Time;
use prost::Message;
use redb::{Error, ReadTransaction, WriteTransaction};

use crate::sequencer::Happened;

/// One kind of rows, made of durable events.
pub(super) trait Rows {
    fn name(&self) -> &'static str;

    /// Returns a number that grows when the rows come to mean something else: then they are made anew.
    fn version(&self) -> u32;

    /// Begins after the last command of `engine`.
    fn begin(&mut self, _engine: &Engine) {}

    /// Reads the part of the present rows that it needs in memory.
    fn load(&mut self, _transaction: &ReadTransaction) -> Result<(), Error> {
        Ok(())
    }

    /// Collects the rows of a command.
    fn apply(&mut self, one: &Happened);

    /// Returns the number of collected rows.
    fn pending(&self) -> usize;

    /// Writes the collected rows. Creates its tables if they are missing.
    fn write(&mut self, transaction: &WriteTransaction) -> Result<(), Error>;

    /// Removes rows beyond their retention, as of `now`.
    fn retain(&self, transaction: &WriteTransaction, now: Time) -> Result<(), Error>;

    /// Removes everything.
    fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Error>;
}

/// Decodes a row. Any other bytes than an encoded row mean that the file has changed since.
pub(super) fn read_row<T: Message + Default>(bytes: &[u8]) -> Result<T, Error> {
    T::decode(bytes).map_err(|error| Error::Corrupted(format!("a row cannot be read: {error}")))
}
