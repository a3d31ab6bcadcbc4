//! The projections of a running exchange: all that follows the durable events.
//!
//! Owns the order in which they see a batch. Each owns its own rules.
//! It never sees an event that is not durable.

use merit_engine::Engine;

use crate::archive::Archive;
use crate::books::Books;
use crate::keys::KeyChanges;
use crate::sequencer::{Happened, Projection};
use crate::sessions::brokers::Brokers;
use crate::sessions::providers::Sessions;

pub(crate) struct Projections {
    pub(crate) books: Books,
    pub(crate) sessions: Sessions,
    pub(crate) brokers: Brokers,
    pub(crate) archive: Archive,
    pub(crate) key_changes: KeyChanges,
}

impl Projections {
    pub(crate) fn new() -> Projections {
        Projections {
            books: Books::new(),
            sessions: Sessions::default(),
            brokers: Brokers::default(),
            archive: Archive::new(),
            key_changes: KeyChanges::default(),
        }
    }

    /// Returns the sequence up to which everything kept on disk survives any crash: the journal is needed after it.
    pub(crate) fn kept_to(&self) -> u64 {
        self.archive.checkpoint()
    }
}

impl Projection for Projections {
    /// Returns the greatest sequence: the archive reads missing events from the journal by itself.
    fn checkpoint(&self) -> u64 {
        u64::MAX
    }

    fn begin(&self, engine: &Engine) {
        self.books.begin(engine);
        self.sessions.begin(engine);
    }

    fn apply(&self, happened: &mut Vec<Happened>) {
        self.books.apply(happened);
        self.sessions.apply(happened);
        self.brokers.apply(happened);
        self.key_changes.apply(happened);
        self.archive.take(happened.drain(..));
    }
}
