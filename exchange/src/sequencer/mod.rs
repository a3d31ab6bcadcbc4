//! The sequencer: gives every command its place, applies it, and makes it durable by group commit.
//!
//! One mutex guards the engine and the batch being collected; a thread of its own writes one batch while the next one
//! fills. A caller that needs durability waits for its batch; the matcher never waits. A batch with a waiting caller is
//! written at once, one without (grants, mostly) collects for a moment. Projections see a batch only once it is
//! durable. After a failed write or sync nothing is accepted any more: the process must end.
//!
//! ```text
//! mod         Sequencer: submit, take a turn, look
//! writer      the journal's thread
//! shared      the state between both, and the wait for durability
//! projection  followers of the durable events
//! intake      one command applied, encoded and put into the batch: no clock, no lock, no thread, no disk
//! ```

mod intake;
mod projection;
mod shared;
mod writer;

#[cfg(test)]
#[path = "../../tests/unit/sequencer.rs"]
mod tests;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use merit_engine::{Applied, Command, Engine};
use merit_journal::Journal;
use merit_journal::storage::Storage;
use merit_terms::Time;

use crate::clock::Clock;

pub use intake::{CallLog, Collected, Encoded, Happened, Intake};
pub use projection::{Progress, Projection};
use shared::{Check, Core, Shared};
pub use shared::{Durable, SubmitError};
use writer::{stop, write_batches};

thread_local! {
    /// The buffer in which a thread encodes the command that it submits.
    static ENCODED: RefCell<Encoded> = RefCell::default();
}

/// An applied command, and the wait for its durability.
#[derive(Debug)]
pub struct Submitted {
    pub applied: Applied,
    pub durable: Durable,
}

/// Exclusive use of the engine for several commands.
pub struct Turn<'a> {
    core: &'a mut Core,
    now: Time,
}

/// The engine behind its journal. Dropping it writes everything that waits and releases the directory.
pub struct Sequencer {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Sequencer {
    /// Goes on after `journal` with the engine that its replay gave.
    pub fn start<S: Storage + 'static>(
        engine: Engine,
        journal: Journal<S>,
        projection: Arc<impl Projection>,
        clock: Clock,
    ) -> std::io::Result<Sequencer>
    where
        Journal<S>: Send,
    {
        let shared = Arc::new(Shared::new(engine, clock));
        let writer = {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || write_batches(&shared, journal, &*projection))?
        };
        Ok(Sequencer { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Returns the market's time.
    pub fn now(&self) -> Time {
        self.shared.clock.now()
    }

    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Returns the progress of the journal, which follows it.
    pub fn progress(&self) -> Arc<Progress> {
        self.shared.progress.clone()
    }

    /// Ends all waits for durability from now on: an applied command counts as done before its batch is written, and a
    /// crash may lose it. Everything is written and synced as before.
    pub fn relax(&self) {
        self.shared.lock().relaxed = true;
    }

    /// Applies a command now. Its reply is final; the caller may wait for its durability.
    pub fn submit(&self, command: &Command) -> Result<Submitted, SubmitError> {
        self.submit_if(Core::check, command)
    }

    /// Applies a command that ends a session, also while the journal is behind: nobody is left to ask again, and a
    /// session that is gone would stay in the market. There is at most one for each session, whose beginning was not
    /// exempt.
    pub fn submit_ending(&self, command: &Command) -> Result<Submitted, SubmitError> {
        self.submit_if(Core::check_running, command)
    }

    fn submit_if(&self, check: Check, command: &Command) -> Result<Submitted, SubmitError> {
        let (applied, durable) = ENCODED.with_borrow_mut(|encoded| {
            encoded.encode(command);
            self.take_turn_if(check, |turn| turn.core.intake.submit_encoded(turn.now, command, encoded))
        })?;
        Ok(Submitted { applied, durable })
    }

    /// Applies several commands in a row, with the engine to itself. Their replies are final; the wait is for all of
    /// them.
    pub fn take_turn<T>(&self, work: impl FnOnce(&mut Turn<'_>) -> T) -> Result<(T, Durable), SubmitError> {
        self.take_turn_if(Core::check, work)
    }

    fn take_turn_if<T>(
        &self,
        check: Check,
        work: impl FnOnce(&mut Turn<'_>) -> T,
    ) -> Result<(T, Durable), SubmitError> {
        let now = self.now();
        let mut core = self.shared.lock();
        check(&core)?;
        let was_empty = core.intake.is_empty();
        let done = work(&mut Turn { core: &mut core, now });
        if was_empty {
            core.begun = Instant::now();
        }
        let durable = Durable::of(&self.shared, core.last_batch());
        self.shared.wake_if_due(core);
        Ok((done, durable))
    }

    /// Looks at the engine, also at changes that are not durable yet.
    pub fn read<T>(&self, look: impl FnOnce(&Engine) -> T) -> T {
        look(self.shared.lock().intake.engine())
    }

    /// Looks at the engine. The wait is for the durability of everything seen.
    pub fn look<T>(&self, look: impl FnOnce(&Engine) -> T) -> (T, Durable) {
        let core = self.shared.lock();
        let durable = Durable::of(&self.shared, core.last_batch());
        (look(core.intake.engine()), durable)
    }

    /// Looks at the engine. Returns the result once everything seen is durable.
    pub async fn read_durable<T>(&self, look: impl FnOnce(&Engine) -> T) -> Result<T, SubmitError> {
        let (seen, durable) = self.look(look);
        durable.wait().await?;
        Ok(seen)
    }

    /// Refuses all commands from now on.
    pub(crate) fn fail(&self, reason: String) {
        stop(&self.shared, reason);
    }

    /// Waits until the journal has failed. Returns the reason; the process must end then.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.shared.stopped.subscribe();
        match stopped.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
            Ok(Some(reason)) => reason,
            _ => "the journal's thread ended".to_owned(),
        }
    }

    /// Writes everything that waits, then releases the directory.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(panic)) = writer.map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Sequencer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.close();
        }
    }
}

impl Turn<'_> {
    pub fn engine(&self) -> &Engine {
        self.core.intake.engine()
    }

    pub fn apply(&mut self, command: &Command) -> Applied {
        self.core.intake.submit(self.now, command)
    }

    /// Applies a settlement, with the end of the call's log.
    pub fn apply_with_log(&mut self, command: &Command, log: Option<CallLog>) -> Applied {
        self.core.intake.submit_with_log(self.now, command, log)
    }
}
