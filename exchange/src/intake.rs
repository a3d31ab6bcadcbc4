//! Taking commands in: each applied, encoded, and put into the batch that is being collected.
//!
//! Owns what must happen in one step, and nothing around it: no clock, no lock, no thread, no disk. The sequencer is the
//! shell; a simulator can be another.

use merit_engine::{Applied, Command, Engine, Event};
use merit_terms::Time;

use crate::codec;
use crate::journal::Batch;

/// One command's events, for the projections.
#[derive(Debug)]
pub struct Happened {
    pub sequence: u64,
    pub at: Time,
    pub events: Vec<Event>,
}

/// A batch, and what happened in it.
#[derive(Debug)]
pub struct Collected {
    pub batch: Batch,
    pub happened: Vec<Happened>,
}

/// The engine, and what it did that is not written yet.
#[derive(Debug)]
pub struct Intake {
    engine: Engine,
    open: Collected,
    record: Vec<u8>,
}

impl Collected {
    /// Nothing yet, and no room either.
    #[must_use]
    pub fn empty() -> Collected {
        Collected { batch: Batch::starting_at(0), happened: Vec::new() }
    }
}

impl Intake {
    /// Goes on after what this engine has applied.
    #[must_use]
    pub fn new(engine: Engine) -> Intake {
        let batch = Batch::starting_at(engine.sequence() + 1);
        Intake { engine, open: Collected { batch, happened: Vec::new() }, record: Vec::new() }
    }

    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Applies a command at `clock`. If it changed anything, it is in the batch.
    pub fn submit(&mut self, clock: Time, command: &Command) -> Applied {
        let mut events = Vec::new();
        let applied = self.engine.apply(clock, command, &mut events);
        if let Some(sequence) = applied.sequence {
            self.record.clear();
            codec::encode(applied.at, command, &mut self.record);
            self.open.batch.push(&self.record);
            self.open.happened.push(Happened { sequence, at: applied.at, events });
        }
        applied
    }

    /// Runs some of what is due at `now`; the commands between two batches may leave more of it than they run.
    pub fn tick(&mut self, now: Time) {
        if self.engine.next_due().is_some_and(|due| due <= now) {
            self.submit(now, &Command::Tick);
        }
    }

    /// Whether everything applied so far was taken to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.batch.is_empty()
    }

    /// The bytes that wait to be written.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.open.batch.bytes()
    }

    /// Gives the batch out to be written, and begins the next one in the room that `collected` has left.
    pub fn take(&mut self, collected: &mut Collected) {
        collected.batch.restart_at(self.open.batch.next_sequence());
        collected.happened.clear();
        std::mem::swap(&mut self.open, collected);
    }
}
