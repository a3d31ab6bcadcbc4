//! The news of providers: their leases, the markets' terms, and the end of a session.
//!
//! A projection of durable events into one bounded ring a provider, which its sessions read one after the other: a
//! resumed session goes on where the one before stopped reading. A message's number contains the sequence of its
//! command, so a replay, also from a snapshot, gives it again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use merit_engine::{Ending, Engine, Event, Lease, MarketTerms, SessionEnding};
use merit_terms::{LeaseId, MarketId, Money, ProviderId, Time};
use tokio::sync::watch;

use crate::sequencer::Happened;

/// Length of a provider's ring in messages: some tenths of a second of the busiest, days of most.
const KEPT_MAX: usize = 8192;
/// Messages that a session reads at once.
const TAKEN_MAX: usize = 256;
/// Bits by which the sequence of a command is shifted left in the number of a message.
const COMMAND_SHIFT: u32 = 16;

/// News for a provider, whatever session is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ProviderNote {
    Granted {
        lease: LeaseId,
        memory_mb: u32,
        /// Time at which its memory returns at the latest.
        capacity_until: Time,
    },
    Settled {
        lease: LeaseId,
        revenue: Money,
        /// Set if the call executed.
        sold: bool,
    },
    /// The broker had no answer: a claim decides.
    Unknown {
        lease: LeaseId,
    },
    Market {
        market: MarketId,
        terms: MarketTerms,
    },
    Protected,
}

/// The end of a session's news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Ended(SessionEnding),
    /// It read too slowly: unread messages are no longer kept.
    Behind,
}

#[derive(Default)]
pub(crate) struct Sessions(Mutex<Rings>);

#[derive(Default)]
struct Rings {
    told: HashMap<ProviderId, Told>,
    /// The number before the first event of this process.
    beginning: u64,
}

/// The messages of one provider.
struct Told {
    kept: VecDeque<(u64, ProviderNote)>,
    /// The number of the newest message that is not kept.
    lost: u64,
    /// The latest ended session, and its reason.
    over: (u32, SessionEnding),
    listener: Option<Listener>,
    is_new: bool,
}

struct Listener {
    session: u32,
    changed: watch::Sender<Option<SessionEnding>>,
}

/// A listening session.
pub(crate) struct Listening {
    provider: ProviderId,
    /// True if it goes on where the provider stopped reading.
    pub(crate) resumed: bool,
    /// The number of the last message that it read.
    pub(crate) after: u64,
    changed: watch::Receiver<Option<SessionEnding>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with a state, before any event after it.
    pub(crate) fn begin(&self, engine: &Engine) {
        let mut state = self.lock();
        state.beginning = number(engine.sequence(), u16::MAX);
        for (provider, _) in engine.providers() {
            state.of(provider);
        }
    }

    /// Listens to the provider's messages after `last`, or from now on if `last` is not known any more. Ends at once if
    /// the session has ended, or if a later one of the provider listens.
    pub(crate) fn listen(&self, provider: ProviderId, session: u32, last: Option<u64>) -> Listening {
        let mut state = self.lock();
        let told = state.of(provider);
        let newest = told.newest();
        let known = last.filter(|last| (told.lost..=newest).contains(last));
        let (sender, changed) = watch::channel((session <= told.over.0).then_some(told.over.1));
        if told.listener.as_ref().is_none_or(|listener| listener.session <= session) {
            told.listener = Some(Listener { session, changed: sender });
        }
        Listening { provider, resumed: known.is_some(), after: known.unwrap_or(newest), changed }
    }

    /// Waits for the next messages. Returns some of them. May be dropped and called again without a loss.
    pub(crate) async fn next(&self, listening: &mut Listening) -> Result<Vec<(u64, ProviderNote)>, Over> {
        loop {
            if let Some(why) = *listening.changed.borrow_and_update() {
                return Err(Over::Ended(why));
            }
            let taken = self.lock().of(listening.provider).after(listening.after).ok_or(Over::Behind)?;
            if let Some((last, _)) = taken.last() {
                listening.after = *last;
                return Ok(taken);
            }
            // A missing sender means that a later session of the provider listens.
            listening.changed.changed().await.map_err(|_| Over::Ended(SessionEnding::Fenced))?;
        }
    }

    pub(crate) fn apply(&self, happened: &[Happened]) {
        let mut state = self.lock();
        let mut changed = Vec::new();
        for one in happened {
            for event in &one.events {
                state.take(event, one.sequence, &mut changed);
            }
        }
        for provider in changed {
            state.of(provider).wake();
        }
    }
}

fn number(sequence: u64, index: u16) -> u64 {
    sequence << COMMAND_SHIFT | u64::from(index)
}

impl Rings {
    fn of(&mut self, provider: ProviderId) -> &mut Told {
        let lost = self.beginning;
        let over = (0, SessionEnding::Restarted);
        let new = || Told { kept: VecDeque::new(), lost, over, listener: None, is_new: false };
        self.told.entry(provider).or_insert_with(new)
    }

    fn take(&mut self, event: &Event, sequence: u64, changed: &mut Vec<ProviderId>) {
        let mut tell = |told: &mut Told, provider: ProviderId, note: ProviderNote| {
            // Counted for each provider alone: independent of the others, and of their order here.
            told.keep(number(sequence, 1).max(told.newest() + 1), note);
            if !std::mem::replace(&mut told.is_new, true) {
                changed.push(provider);
            }
        };
        match event {
            Event::ProviderRegistered { provider, .. } => drop(self.of(*provider)),
            Event::Granted(lease) => {
                let Lease { id, memory_mb, capacity_until, .. } = **lease;
                let note = ProviderNote::Granted { lease: id, memory_mb, capacity_until };
                tell(self.of(lease.provider), lease.provider, note);
            }
            Event::Settled { lease, settlement, .. } => {
                let revenue = settlement.cost.saturating_sub(settlement.fee);
                tell(
                    self.of(lease.provider),
                    lease.provider,
                    ProviderNote::Settled { lease: lease.id, revenue, sold: true },
                );
            }
            Event::Ended { lease, how } => {
                let note = match how {
                    Ending::Unknown => ProviderNote::Unknown { lease: lease.id },
                    _ => ProviderNote::Settled { lease: lease.id, revenue: Money::ZERO, sold: false },
                };
                tell(self.of(lease.provider), lease.provider, note);
            }
            Event::Protected { provider } => tell(self.of(*provider), *provider, ProviderNote::Protected),
            Event::MarketChanged { market, terms } => {
                for (provider, told) in &mut self.told {
                    tell(told, *provider, ProviderNote::Market { market: *market, terms: *terms });
                }
            }
            Event::SessionEnded { provider, session, why } => self.of(*provider).end(*session, *why),
            _ => {}
        }
    }
}

impl Told {
    /// Returns the number of the newest message, kept or not.
    fn newest(&self) -> u64 {
        self.kept.back().map_or(self.lost, |(number, _)| *number)
    }

    fn keep(&mut self, number: u64, note: ProviderNote) {
        if self.kept.len() == KEPT_MAX
            && let Some((lost, _)) = self.kept.pop_front()
        {
            self.lost = lost;
        }
        self.kept.push_back((number, note));
    }

    /// Reads some messages after `number`. Returns none if not all of them are kept.
    fn after(&self, number: u64) -> Option<Vec<(u64, ProviderNote)>> {
        if number < self.lost {
            return None;
        }
        let first = self.kept.partition_point(|(kept, _)| *kept <= number);
        Some(self.kept.iter().skip(first).take(TAKEN_MAX).copied().collect())
    }

    fn wake(&mut self) {
        self.is_new = false;
        if let Some(listener) = &self.listener {
            listener.changed.send_modify(|_| {});
        }
    }

    fn end(&mut self, session: u32, why: SessionEnding) {
        self.over = (session, why);
        if let Some(listener) = self.listener.take_if(|listener| listener.session <= session) {
            listener.changed.send_replace(Some(why));
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/sessions/providers.rs"]
mod tests;
