//! Taking commands in: each applied, encoded, and put into the batch that is being collected.
//!
//! Owns what must happen in one step, and nothing around it: no clock, no lock, no thread, no disk. The sequencer is the
//! shell; a simulator can be another.

use merit_engine::{Applied, Command, Engine, Event};
use merit_terms::Time;

use crate::codec;
use merit_journal::Batch;

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
    time: Vec<u8>,
    encoded: Encoded,
}

/// A command as it will stand in the journal, but for the time at which it is applied. Made by whoever submits it, beside
/// the others, so that only what needs their order is done in it.
#[derive(Debug, Default)]
pub struct Encoded(Vec<u8>);

impl Encoded {
    /// Encodes a command in the place of the one before.
    pub fn encode(&mut self, command: &Command) {
        self.0.clear();
        codec::encode_command(command, &mut self.0);
    }
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
        Intake {
            engine,
            open: Collected { batch, happened: Vec::new() },
            time: Vec::new(),
            encoded: Encoded::default(),
        }
    }

    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Applies a command at `clock`. If it changed anything, it is in the batch.
    pub fn submit(&mut self, clock: Time, command: &Command) -> Applied {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.encode(command);
        let applied = self.submit_encoded(clock, command, &encoded);
        self.encoded = encoded;
        applied
    }

    /// The same where the command is encoded already.
    pub fn submit_encoded(&mut self, clock: Time, command: &Command, encoded: &Encoded) -> Applied {
        let mut events = Vec::new();
        let applied = self.engine.apply(clock, command, &mut events);
        if let Some(sequence) = applied.sequence {
            self.time.clear();
            codec::encode_time(applied.at, &mut self.time);
            self.open.batch.push_parts([&self.time, &encoded.0]);
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

    /// Gives the batch out to be written, and begins the next one in the room that `collected` has left. What happened in
    /// that must be cleared: it would take long here.
    pub fn take(&mut self, collected: &mut Collected) {
        debug_assert!(collected.happened.is_empty(), "what happened must have been shown and dropped");
        collected.batch.restart_at(self.open.batch.next_sequence());
        std::mem::swap(&mut self.open, collected);
    }
}
