//! The intake of commands: each applied, encoded, and put into the batch that is being collected.
//!
//! Owns that one step, and nothing around it: no clock, no lock, no thread, no disk. The sequencer is the shell; a
//! simulator can be another.

use merit_engine::{Applied, Command, Engine, Event};
use merit_terms::{LeaseId, Time};

use crate::codec;
use crate::spots::Spot;
use merit_journal::Batch;

/// One command's events, for the projections.
#[derive(Debug)]
pub struct Happened {
    pub sequence: u64,
    pub at: Time,
    pub events: Vec<Event>,
    /// Spot prices after it, of the markets where they changed or that traded. The books note them.
    pub spots: Vec<Spot>,
    /// The log of the call that it settled. Not in the journal, so that a replay has none.
    pub log: Option<CallLog>,
}

/// The end of a call's log, and the lease of the call: the command may settle others beside it, such as claims that are
/// due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLog {
    pub lease: LeaseId,
    pub text: Vec<u8>,
}

impl Happened {
    /// Returns the log of the call under a lease; empty if there is none.
    #[must_use]
    pub fn log_of(&self, lease: LeaseId) -> &[u8] {
        let of_lease = self.log.as_ref().filter(|log| log.lease == lease);
        of_lease.map_or(&[][..], |log| &log.text)
    }

    /// Returns the size of the log in bytes.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        self.log.as_ref().map_or(0, |log| log.text.len())
    }
}

/// A batch, and the events of its commands.
#[derive(Debug)]
pub struct Collected {
    pub batch: Batch,
    pub happened: Vec<Happened>,
}

/// The engine, and the batch of its changes that are not written yet.
#[derive(Debug)]
pub struct Intake {
    engine: Engine,
    open: Collected,
    time: Vec<u8>,
    encoded: Encoded,
    /// Bytes of the logs in the batch's events.
    log_bytes: usize,
}

/// A command as a journal record, but for the time at which it is applied. Encoded by the submitting thread, outside
/// the lock.
#[derive(Debug, Default)]
pub struct Encoded(Vec<u8>);

impl Encoded {
    /// Encodes a command into the same buffer.
    pub fn encode(&mut self, command: &Command) {
        self.0.clear();
        codec::encode_command(command, &mut self.0);
    }
}

impl Collected {
    /// Makes an empty batch without a buffer.
    #[must_use]
    pub fn empty() -> Collected {
        Collected { batch: Batch::starting_at(0), happened: Vec::new() }
    }
}

impl Intake {
    /// Goes on after the last command of this engine.
    #[must_use]
    pub fn new(engine: Engine) -> Intake {
        let batch = Batch::starting_at(engine.sequence() + 1);
        Intake {
            engine,
            open: Collected { batch, happened: Vec::new() },
            time: Vec::new(),
            encoded: Encoded::default(),
            log_bytes: 0,
        }
    }

    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Applies a command at `clock`, and adds it to the batch if it changed anything.
    pub fn submit(&mut self, clock: Time, command: &Command) -> Applied {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.encode(command);
        let applied = self.submit_encoded(clock, command, &encoded);
        self.encoded = encoded;
        applied
    }

    /// Applies a command that is encoded already, as [`Intake::submit`] does.
    pub fn submit_encoded(&mut self, clock: Time, command: &Command, encoded: &Encoded) -> Applied {
        let mut events = Vec::new();
        let applied = self.engine.apply(clock, command, &mut events);
        if let Some(sequence) = applied.sequence {
            self.time.clear();
            codec::encode_time(applied.at, &mut self.time);
            self.open.batch.push_parts([&self.time, &encoded.0]);
            self.open.happened.push(Happened { sequence, at: applied.at, events, spots: Vec::new(), log: None });
        }
        applied
    }

    /// Applies a settlement, as [`Intake::submit`] does, and passes the log of its call on to the projections.
    /// A refused one has none.
    pub fn submit_with_log(&mut self, clock: Time, command: &Command, log: Option<CallLog>) -> Applied {
        let applied = self.submit(clock, command);
        if applied.reply.is_ok()
            && applied.sequence.is_some()
            && let Some(happened) = self.open.happened.last_mut()
        {
            happened.log = log;
            self.log_bytes += happened.log_bytes();
        }
        applied
    }

    /// Runs some of the work that is due at `now`; the commands between two batches may leave more than they run.
    pub fn tick(&mut self, now: Time) {
        if self.engine.next_due().is_some_and(|due| due <= now) {
            self.submit(now, &Command::Tick);
        }
    }

    /// Returns true if everything applied so far was taken to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.batch.is_empty()
    }

    /// Returns the number of bytes that wait to be written, logs included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.open.batch.bytes() + self.log_bytes
    }

    /// Swaps the batch into `collected` to be written, and begins the next one in its buffers. The caller clears the
    /// events in them first: dropping them would hold the lock for long.
    pub fn take(&mut self, collected: &mut Collected) {
        debug_assert!(collected.happened.is_empty(), "the events must have been shown and dropped");
        collected.batch.restart_at(self.open.batch.next_sequence());
        std::mem::swap(&mut self.open, collected);
        self.log_bytes = 0;
    }
}
