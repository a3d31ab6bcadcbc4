//! Invocation records: what became of each call, kept in memory and rebuilt by replay.
//!
//! A projection of durable events; the oldest records go when there are too many.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use merit_engine::{Ending, Event, Lease, Settlement};
use merit_terms::{LeaseId, Outcome, Time};

use crate::intake::Happened;

/// Records kept; older ones are in the journal.
const RECORDS_KEPT: usize = 100_000;

/// What became of one invocation.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub submitted_at: Time,
    pub settled_at: Option<Time>,
    /// In order; the last one decided.
    pub attempts: Vec<Attempt>,
    pub settlement: Option<(Outcome, Settlement)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub lease: Lease,
    pub state: AttemptState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptState {
    Running,
    Executed { wall_us: u64 },
    Ended(Ending),
}

impl AttemptState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            AttemptState::Running => "running",
            AttemptState::Executed { .. } => "executed",
            AttemptState::Ended(Ending::NotSent) => "not_sent",
            AttemptState::Ended(Ending::Unknown) => "unknown",
            AttemptState::Ended(Ending::Expired) => "expired",
            AttemptState::Ended(Ending::NotTakenUp) => "not_taken_up",
            AttemptState::Ended(Ending::Closed) => "closed",
        }
    }
}

impl Record {
    /// `running`, `settled`, `failed` (no attempt executed) or `expired`.
    pub(crate) fn state(&self) -> &'static str {
        match self.attempts.last().map(|attempt| attempt.state) {
            Some(AttemptState::Executed { .. }) => "settled",
            Some(AttemptState::Ended(Ending::Expired)) => "expired",
            Some(AttemptState::Ended(_)) => "failed",
            Some(AttemptState::Running) | None => "running",
        }
    }
}

#[derive(Default)]
pub(crate) struct Records(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<LeaseId, Record>,
    oldest_first: VecDeque<LeaseId>,
}

impl Records {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: LeaseId) -> Option<Record> {
        self.lock().by_id.get(&id).cloned()
    }

    pub(crate) fn apply(&self, happened: &[Happened]) {
        let mut kept = self.lock();
        for one in happened {
            for event in &one.events {
                match event {
                    Event::Granted(lease) => kept.granted(lease),
                    Event::Settled { lease, outcome, settlement, .. } => {
                        let wall_us = settlement.usage.wall_us;
                        if let Some(record) = kept.ended(lease, AttemptState::Executed { wall_us }) {
                            record.settlement = Some((*outcome, *settlement));
                            record.settled_at = Some(one.at);
                        }
                    }
                    Event::Ended { lease, how } => {
                        kept.ended(lease, AttemptState::Ended(*how));
                    }
                    _ => {}
                }
            }
        }
    }
}

impl Kept {
    fn granted(&mut self, lease: &Lease) {
        let attempt = Attempt { lease: lease.clone(), state: AttemptState::Running };
        if let Some(record) = self.by_id.get_mut(&lease.invocation) {
            record.attempts.push(attempt);
            return;
        }
        if self.oldest_first.len() == RECORDS_KEPT
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        let record =
            Record { submitted_at: lease.matched_at, settled_at: None, attempts: vec![attempt], settlement: None };
        self.by_id.insert(lease.invocation, record);
        self.oldest_first.push_back(lease.invocation);
    }

    fn ended(&mut self, lease: &Lease, state: AttemptState) -> Option<&mut Record> {
        let record = self.by_id.get_mut(&lease.invocation)?;
        if let Some(attempt) = record.attempts.iter_mut().find(|attempt| attempt.lease.id == lease.id) {
            attempt.state = state;
        }
        Some(record)
    }
}
