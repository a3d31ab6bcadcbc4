//! A directory whose every command is a batch of its journal, and the digest after each.

use std::path::PathBuf;

use merit_engine::{Command, Engine};
use merit_terms::{Money, Time};
use tempfile::TempDir;

use crate::codec;
use crate::snapshot::{Damage, Header, LoadError, MakeError, load, make};
use merit_journal::storage::Directory;
use merit_journal::{Batch, Journal, Settings};

/// Encodes a command as the journal holds it.
pub(crate) fn record(at: Time, command: &Command) -> Vec<u8> {
    let mut record = Vec::new();
    codec::encode_time(at, &mut record);
    codec::encode_command(command, &mut record);
    record
}

pub(crate) const SEGMENTS: Settings = Settings { segment_bytes: 4096 };

/// An engine behind its journal in a directory, each command a batch.
pub(crate) struct Market {
    pub(crate) directory: TempDir,
    pub(crate) engine: Engine,
    pub(crate) journal: Journal<Directory>,
    /// The digest after each command, by sequence; the first before all.
    pub(crate) digests: Vec<u128>,
}

impl Market {
    pub(crate) fn new() -> Market {
        let directory = tempfile::tempdir().unwrap();
        let storage = Directory::existing(directory.path());
        let journal = Journal::open(storage, SEGMENTS, |_, _| Ok(())).unwrap().0;
        let engine = Engine::new();
        let digests = vec![engine.digest()];
        let mut market = Market { directory, engine, journal, digests };
        market.apply(Command::Start { run: 1 });
        market
    }

    /// Makes a market with this many commands.
    pub(crate) fn with(commands: u64) -> Market {
        let mut market = Market::new();
        for number in 1..commands {
            if number % 2 == 1 {
                market.apply(Command::OpenAccount { name: format!("account-{number}").parse().unwrap() });
            } else {
                let account = market.engine.find_account("account-1").unwrap();
                market.apply(Command::Deposit { account, amount: Money::from_picodollars(number).unwrap() });
            }
        }
        market
    }

    pub(crate) fn apply(&mut self, command: Command) {
        let at = Time::from_micros(self.engine.sequence() * 1000);
        let applied = self.engine.apply(at, &command, &mut Vec::new());
        let mut batch = Batch::starting_at(applied.sequence.unwrap());
        batch.push(&record(applied.at, &command));
        self.journal.append(&mut batch).unwrap();
        self.digests.push(self.engine.digest());
    }

    pub(crate) fn storage(&self) -> Directory {
        Directory::existing(self.directory.path())
    }

    pub(crate) fn make(&self, upto: u64) -> Result<Option<Header>, MakeError> {
        make(&self.storage(), self.journal.identity(), upto, || false)
    }

    pub(crate) fn path(&self, sequence: u64) -> PathBuf {
        self.directory.path().join(format!("snapshot-{sequence:020}.merit"))
    }

    pub(crate) fn damage(&self, sequence: u64) -> Damage {
        match load(&self.storage(), sequence) {
            Err(LoadError::Damaged(damage)) => damage,
            other => panic!("{other:?}"),
        }
    }

    /// Ends the process. Returns the directory and the digests.
    pub(crate) fn end(self) -> (TempDir, Vec<u128>) {
        (self.directory, self.digests)
    }
}
