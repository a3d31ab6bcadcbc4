//! The model of a crash loop: a list of the applied commands, and an engine that applied them alone. Never reads the
//! disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use merit_engine::{Applied, Command, Engine, Event};
use merit_exchange::{Happened, Projection};
use merit_terms::{Balance, LeaseId, Time};

use super::CrashLoopError;

/// Time in milliseconds beyond every deadline: a bid may rest for 31 days, a lease for less.
const LONG_AFTER_MS: u64 = 40 * 24 * 3_600_000;

pub(super) struct Model {
    /// The applied commands by sequence, from 1, durable or not.
    commands: Vec<(Time, Command)>,
    acknowledged: u64,
    /// The engine that a start must find.
    engine: Engine,
    settled: BTreeSet<LeaseId>,
}

impl Model {
    pub(super) fn new() -> Model {
        Model { commands: Vec::new(), acknowledged: 0, engine: Engine::new(), settled: BTreeSet::new() }
    }

    pub(super) fn applied(&mut self, applied: &Applied, command: Command) {
        if applied.sequence.is_some() {
            self.commands.push((applied.at, command));
        }
    }

    pub(super) fn acknowledge(&mut self, upto: u64) {
        self.acknowledged = upto;
    }

    /// Returns the number of commands and of settled leases.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.commands.len() as u64, self.settled.len() as u64)
    }

    /// Compares the engine that a start found with the model's. Returns the number of lost commands, none of them
    /// acknowledged.
    pub(super) fn reopened(&mut self, found: &Engine, follower: &Follower) -> Result<u64, CrashLoopError> {
        let (applied, sequence) = (self.commands.len() as u64, found.sequence());
        if !(self.acknowledged..=applied).contains(&sequence) {
            return Err(CrashLoopError::Lost { acknowledged: self.acknowledged, found: sequence, applied });
        }
        self.commands.truncate(sequence as usize);
        // A found command is durable, and must stay from now on.
        self.acknowledged = sequence;
        let replayed = follower.take();
        let from = self.engine.sequence() as usize;
        for (at, command) in &self.commands[from..] {
            let mut events = Vec::new();
            let applied = self.engine.apply(*at, command, &mut events);
            let sequence = self.engine.sequence();
            if applied.sequence != Some(sequence) || replayed.get(&sequence).is_some_and(|replayed| *replayed != events)
            {
                return Err(CrashLoopError::Events { sequence });
            }
            for event in &events {
                if let Event::Settled { lease, .. } = event
                    && !self.settled.insert(lease.id)
                {
                    return Err(CrashLoopError::SettledTwice { sequence, lease: lease.id });
                }
            }
        }
        if self.engine.digest() != found.digest() {
            return Err(CrashLoopError::Digest { sequence });
        }
        match found.balance_sum() {
            Balance::ZERO => Ok(applied - sequence),
            sum => Err(CrashLoopError::Balances(sum)),
        }
    }
}

/// Checks that no lease, bid, hold or capacity is left over after every deadline.
pub(super) fn nothing_is_left_over(mut engine: Engine) -> Result<(), CrashLoopError> {
    // A bid may be matched at its deadline, and its lease has further ones.
    for _ in 0..2 {
        let long_after = engine.last_at().after_millis(LONG_AFTER_MS);
        while engine.next_due().is_some_and(|due| due <= long_after) {
            engine.apply(long_after, &Command::Tick, &mut Vec::new());
        }
    }
    let left = |what: String| Err(CrashLoopError::LeftOver(what));
    if let Some(lease) = engine.open_leases().next() {
        return left(format!("lease {}", lease.id));
    }
    if let Some(resting) = engine.resting().next() {
        return left(format!("bid {}", resting.id));
    }
    for (_, account) in engine.accounts() {
        if account.held != 0 {
            return left(format!("a hold of {} on {}", account.held, account.name));
        }
    }
    for (id, provider) in engine.providers() {
        if engine.pools(id).iter().any(|pool| (pool.leased_mb, pool.leases) != (0, 0)) {
            return left(format!("capacity of {}", provider.name));
        }
    }
    if let Some((_, function)) = engine.functions().find(|(_, function)| function.running != 0) {
        return left(format!("a running call of {}", function.name));
    }
    match engine.balance_sum() {
        Balance::ZERO => Ok(()),
        sum => Err(CrashLoopError::Balances(sum)),
    }
}

/// A projection that records the events of a start.
#[derive(Default)]
pub(super) struct Follower(Mutex<BTreeMap<u64, Vec<Event>>>);

impl Follower {
    fn take(&self) -> BTreeMap<u64, Vec<Event>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Projection for Follower {
    fn checkpoint(&self) -> u64 {
        u64::MAX
    }

    fn begin(&self, _engine: &Engine) {}

    fn apply(&self, happened: &mut Vec<Happened>) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.extend(happened.drain(..).map(|one| (one.sequence, one.events)));
    }
}
