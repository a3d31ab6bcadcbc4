//! What providers are told: their leases, the markets' terms, and that a session is over.
//!
//! A projection of durable events into one bounded ring a provider, which its sessions read one after the other: a
//! session that resumes goes on where the one before stopped reading. A message's number is made of the sequence of the
//! command that it comes from, so that a replay, also from a snapshot, gives it again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use merit_engine::{Ending, Engine, Event, MarketTerms, SessionEnding};
use merit_terms::{LeaseId, MarketId, Money, ProviderId};
use tokio::sync::watch;

use crate::intake::Happened;

/// Messages kept of each provider: some tenths of a second of the busiest, days of most.
const KEPT_MAX: usize = 8192;
/// Messages that a session takes at once.
const TAKEN_MAX: usize = 256;
/// How far the sequence of a command stands left in the number of a message.
const COMMAND_SHIFT: u32 = 16;

/// What a provider is told, whatever session is on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Note {
    Granted {
        lease: LeaseId,
        memory_mb: u32,
    },
    Settled {
        lease: LeaseId,
        revenue: Money,
    },
    /// The broker had no answer; a claim decides.
    Unknown {
        lease: LeaseId,
    },
    Market {
        market: MarketId,
        terms: MarketTerms,
    },
    Protected,
}

/// Why a session hears no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Ended(SessionEnding),
    /// It read so slowly that something it has not heard is no longer kept.
    Behind,
}

#[derive(Default)]
pub(crate) struct Sessions(Mutex<State>);

#[derive(Default)]
struct State {
    told: HashMap<ProviderId, Told>,
    /// The number before everything that this process saw happen.
    beginning: u64,
}

/// What one provider was told.
struct Told {
    kept: VecDeque<(u64, Note)>,
    /// The number of the newest message that is not kept.
    lost: u64,
    /// The latest session that ended, and why.
    over: (u32, SessionEnding),
    listener: Option<Listener>,
    is_new: bool,
}

struct Listener {
    session: u32,
    changed: watch::Sender<Option<SessionEnding>>,
}

/// A session that hears.
pub(crate) struct Listening {
    provider: ProviderId,
    /// Whether it goes on where the provider stopped reading.
    pub(crate) resumed: bool,
    /// The number of the last message that it took.
    pub(crate) after: u64,
    changed: watch::Receiver<Option<SessionEnding>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state from which the events go on.
    pub(crate) fn begin(&self, engine: &Engine) {
        let mut state = self.lock();
        state.beginning = number(engine.sequence(), u16::MAX);
        for (provider, _) in engine.providers() {
            state.of(provider);
        }
    }

    /// Hears what concerns the provider from after `last` on, or from now on if that is not known any more. It is over
    /// at once if the session has ended, or a later one of the provider hears.
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

    /// Some of what comes next, as soon as there is anything. May be dropped and called again without a loss.
    pub(crate) async fn next(&self, listening: &mut Listening) -> Result<Vec<(u64, Note)>, Over> {
        loop {
            if let Some(why) = *listening.changed.borrow_and_update() {
                return Err(Over::Ended(why));
            }
            let taken = self.lock().of(listening.provider).after(listening.after).ok_or(Over::Behind)?;
            if let Some((last, _)) = taken.last() {
                listening.after = *last;
                return Ok(taken);
            }
            // Without a sender a later session of the provider hears.
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

impl State {
    fn of(&mut self, provider: ProviderId) -> &mut Told {
        let lost = self.beginning;
        let over = (0, SessionEnding::Restarted);
        let new = || Told { kept: VecDeque::new(), lost, over, listener: None, is_new: false };
        self.told.entry(provider).or_insert_with(new)
    }

    fn take(&mut self, event: &Event, sequence: u64, changed: &mut Vec<ProviderId>) {
        let mut tell = |told: &mut Told, provider: ProviderId, note: Note| {
            // Counted for each provider alone: it does not depend on the others, nor on their order here.
            told.keep(number(sequence, 1).max(told.newest() + 1), note);
            if !std::mem::replace(&mut told.is_new, true) {
                changed.push(provider);
            }
        };
        match event {
            Event::ProviderRegistered { provider, .. } => drop(self.of(*provider)),
            Event::Granted(lease) => {
                let note = Note::Granted { lease: lease.id, memory_mb: lease.memory_mb };
                tell(self.of(lease.provider), lease.provider, note);
            }
            Event::Settled { lease, settlement, .. } => {
                let revenue = settlement.cost.saturating_sub(settlement.fee);
                tell(self.of(lease.provider), lease.provider, Note::Settled { lease: lease.id, revenue });
            }
            Event::Ended { lease, how } => {
                let note = match how {
                    Ending::Unknown => Note::Unknown { lease: lease.id },
                    _ => Note::Settled { lease: lease.id, revenue: Money::ZERO },
                };
                tell(self.of(lease.provider), lease.provider, note);
            }
            Event::Protected { provider } => tell(self.of(*provider), *provider, Note::Protected),
            Event::MarketChanged { market, terms } => {
                for (provider, told) in &mut self.told {
                    tell(told, *provider, Note::Market { market: *market, terms: *terms });
                }
            }
            Event::SessionEnded { provider, session, why } => self.of(*provider).end(*session, *why),
            _ => {}
        }
    }
}

impl Told {
    /// The number of the newest message, kept or not.
    fn newest(&self) -> u64 {
        self.kept.back().map_or(self.lost, |(number, _)| *number)
    }

    fn keep(&mut self, number: u64, note: Note) {
        if self.kept.len() == KEPT_MAX
            && let Some((lost, _)) = self.kept.pop_front()
        {
            self.lost = lost;
        }
        self.kept.push_back((number, note));
    }

    /// Some of what came after `number`; none if not all of it is kept.
    fn after(&self, number: u64) -> Option<Vec<(u64, Note)>> {
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
mod tests {
    use futures_util::FutureExt;
    use merit_terms::Time;

    use super::*;

    const SELLER: ProviderId = ProviderId::new(4);

    fn happen(sessions: &Sessions, sequence: u64, events: Vec<Event>) {
        sessions.apply(&[Happened { sequence, at: Time::default(), events }]);
    }

    /// A command that concerns the seller.
    fn protect(sessions: &Sessions, sequence: u64) {
        happen(sessions, sequence, vec![Event::Protected { provider: SELLER }]);
    }

    fn end(sessions: &Sessions, sequence: u64, session: u32, why: SessionEnding) {
        happen(sessions, sequence, vec![Event::SessionEnded { provider: SELLER, session, why }]);
    }

    /// The sequences of what is heard now; none if the session waits.
    fn heard(sessions: &Sessions, listening: &mut Listening) -> Option<Result<Vec<u64>, Over>> {
        let taken = sessions.next(listening).now_or_never()?;
        Some(taken.map(|notes| notes.into_iter().map(|(number, _)| number >> COMMAND_SHIFT).collect()))
    }

    #[test]
    fn a_session_hears_what_happens_from_its_beginning_on() {
        let sessions = Sessions::default();
        protect(&sessions, 1);
        let mut first = sessions.listen(SELLER, 1, None);
        assert!(!first.resumed);
        assert_eq!(heard(&sessions, &mut first), None);
        protect(&sessions, 2);
        happen(&sessions, 3, vec![Event::Protected { provider: ProviderId::new(5) }]);
        protect(&sessions, 4);
        assert_eq!(heard(&sessions, &mut first), Some(Ok(vec![2, 4])));
        assert_eq!(heard(&sessions, &mut first), None);
    }

    #[test]
    fn a_session_goes_on_where_the_one_before_stopped_reading() {
        let sessions = Sessions::default();
        happen(&sessions, 1, vec![Event::Protected { provider: SELLER }; 3]);
        let last = number(1, 2);
        let mut second = sessions.listen(SELLER, 2, Some(last));
        assert!(second.resumed);
        protect(&sessions, 2);
        assert_eq!(heard(&sessions, &mut second), Some(Ok(vec![1, 2])));
        // Of the future nothing was heard.
        let third = sessions.listen(SELLER, 3, Some(number(9, 1)));
        assert_eq!((third.resumed, third.after), (false, second.after));
    }

    #[test]
    fn what_others_are_told_does_not_change_the_numbers_of_a_provider() {
        let sessions = Sessions::default();
        for other in (0..32).map(ProviderId::new) {
            sessions.lock().of(other);
        }
        let changed = Event::MarketChanged { market: MarketId::new(0), terms: MarketTerms::default() };
        let protected = |provider| Event::Protected { provider };
        happen(&sessions, 1, vec![protected(ProviderId::new(5)), changed, protected(SELLER)]);
        let told: Vec<u64> = sessions.lock().of(SELLER).kept.iter().map(|(number, _)| *number).collect();
        assert_eq!(told, [number(1, 1), number(1, 2)]);
    }

    #[test]
    fn only_so_much_is_kept_and_who_needs_more_cannot_go_on() {
        let sessions = Sessions::default();
        let mut slow = sessions.listen(SELLER, 1, None);
        protect(&sessions, 1);
        assert_eq!(heard(&sessions, &mut slow), Some(Ok(vec![1])));
        (2..=KEPT_MAX as u64 + 1).for_each(|sequence| protect(&sessions, sequence));
        assert!(sessions.listen(SELLER, 2, Some(slow.after)).resumed);
        protect(&sessions, KEPT_MAX as u64 + 2);
        protect(&sessions, KEPT_MAX as u64 + 3);
        assert!(!sessions.listen(SELLER, 3, Some(slow.after)).resumed);
    }

    #[test]
    fn a_session_that_reads_too_slowly_is_over() {
        let sessions = Sessions::default();
        let mut slow = sessions.listen(SELLER, 1, None);
        (1..=KEPT_MAX as u64 + 1).for_each(|sequence| protect(&sessions, sequence));
        assert_eq!(heard(&sessions, &mut slow), Some(Err(Over::Behind)));
    }

    #[test]
    fn a_process_goes_on_from_the_state_that_it_began_with() {
        let sessions = Sessions::default();
        sessions.lock().beginning = number(70, u16::MAX);
        protect(&sessions, 71);
        assert!(sessions.listen(SELLER, 1, Some(number(70, u16::MAX))).resumed);
        assert!(!sessions.listen(SELLER, 1, Some(number(70, 3))).resumed);
    }

    #[test]
    fn a_session_is_over_when_it_ends_or_a_later_one_hears() {
        let sessions = Sessions::default();
        let mut first = sessions.listen(SELLER, 1, None);
        let mut second = sessions.listen(SELLER, 2, None);
        assert_eq!(heard(&sessions, &mut first), Some(Err(Over::Ended(SessionEnding::Fenced))));
        end(&sessions, 1, 1, SessionEnding::Fenced);
        assert_eq!(heard(&sessions, &mut second), None);
        end(&sessions, 2, 2, SessionEnding::Killed);
        assert_eq!(heard(&sessions, &mut second), Some(Err(Over::Ended(SessionEnding::Killed))));
        // Its logon was durable, and its end came before it could listen.
        end(&sessions, 3, 3, SessionEnding::Killed);
        let mut third = sessions.listen(SELLER, 3, None);
        assert_eq!(heard(&sessions, &mut third), Some(Err(Over::Ended(SessionEnding::Killed))));
    }
}
