//! Brokers' streams: which one a session has, and what it is told of its resting bids.
//!
//! A projection of durable events into one bounded queue a stream; a stream that does not read loses its queue. Owns that
//! a session has one stream: a later one fences the one before.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use merit_engine::{BidEnding, Event, Grant};
use merit_terms::LeaseId;
use tokio::sync::mpsc;

use crate::intake::Happened;

/// What may wait for a broker to read it.
const NOTES_MAX: usize = 4096;

/// What a broker is told without asking.
#[derive(Debug)]
pub(crate) enum Note {
    /// A resting bid is matched.
    Offered(Box<Grant>),
    /// A resting bid left the books unmatched.
    Gone { bid: LeaseId, how: BidEnding },
}

#[derive(Default)]
pub(crate) struct Brokers {
    /// Held while a session begins or ends in the engine, so that the two lists agree.
    changing: Mutex<()>,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    of_session: HashMap<u64, Stream>,
    begun: u64,
}

struct Stream {
    number: u64,
    notes: mpsc::Sender<Note>,
}

/// A stream's place among those of this process.
pub(crate) struct Place {
    session: u64,
    number: u64,
    pub(crate) notes: mpsc::Receiver<Note>,
}

impl Brokers {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session by `logon`, which says its number; one that goes on with `resumes` fences the stream that had it.
    pub(crate) fn begin<T, E>(
        &self,
        resumes: Option<u64>,
        logon: impl FnOnce() -> Result<(u64, T), E>,
    ) -> Result<(Place, T), E> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the engine may match its bids, so that no offer is missed.
        let early = resumes.map(|session| self.streams().begin(session));
        match logon() {
            Ok((session, begun)) => Ok((early.unwrap_or_else(|| self.streams().begin(session)), begun)),
            Err(error) => {
                if let Some(place) = early {
                    self.streams().end(&place);
                }
                Err(error)
            }
        }
    }

    /// Ends a stream; `lost` ends its session in the engine, unless a later stream has it.
    pub(crate) fn end(&self, place: &Place, lost: impl FnOnce(u64)) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.streams().end(place) {
            lost(place.session);
        }
    }

    pub(crate) fn apply(&self, happened: &[Happened]) {
        let mut streams = self.streams();
        if streams.of_session.is_empty() {
            return;
        }
        for event in happened.iter().flat_map(|one| &one.events) {
            match event {
                Event::Offered(grant) => {
                    streams.tell(grant.request.map(|request| request.session), || Note::Offered(grant.clone()));
                }
                Event::BidGone { resting, how: how @ (BidEnding::Cancelled | BidEnding::Expired) } => {
                    let session = resting.deferred.bid.request.map(|request| request.session);
                    streams.tell(session, || Note::Gone { bid: resting.id, how: *how });
                }
                _ => {}
            }
        }
    }
}

impl Streams {
    fn begin(&mut self, session: u64) -> Place {
        self.begun += 1;
        let (sender, notes) = mpsc::channel(NOTES_MAX);
        self.of_session.insert(session, Stream { number: self.begun, notes: sender });
        Place { session, number: self.begun, notes }
    }

    /// Whether no later stream has the session.
    fn end(&mut self, place: &Place) -> bool {
        match self.of_session.get(&place.session) {
            Some(stream) if stream.number != place.number => false,
            _ => {
                self.of_session.remove(&place.session);
                true
            }
        }
    }

    fn tell(&mut self, session: Option<u64>, note: impl FnOnce() -> Note) {
        let Some(session) = session else { return };
        if let Some(stream) = self.of_session.get(&session)
            && stream.notes.try_send(note()).is_err()
        {
            self.of_session.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins a session that the engine would number `session`.
    fn begin(brokers: &Brokers, resumes: Option<u64>, session: u64) -> Place {
        brokers.begin(resumes, || Ok::<_, ()>((session, ()))).unwrap().0
    }

    /// Whether the end of the stream ends its session.
    fn ends_session(brokers: &Brokers, place: &Place) -> bool {
        let mut lost = None;
        brokers.end(place, |session| lost = Some(session));
        lost.is_some()
    }

    #[test]
    fn a_stream_that_resumes_fences_the_one_before_which_then_ends_nothing() {
        let brokers = Brokers::default();
        let mut first = begin(&brokers, None, 7);
        let second = begin(&brokers, Some(7), 7);
        assert!(matches!(first.notes.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
        assert!(!ends_session(&brokers, &first));
        assert!(ends_session(&brokers, &second));
    }

    #[test]
    fn a_logon_that_is_refused_takes_no_session() {
        let brokers = Brokers::default();
        assert!(brokers.begin(Some(7), || Err::<(u64, ()), _>("unknown")).is_err());
        assert!(brokers.streams().of_session.is_empty());
    }

    #[test]
    fn a_stream_that_does_not_read_loses_its_queue_and_ends_its_session() {
        let brokers = Brokers::default();
        let mut place = begin(&brokers, None, 7);
        let gone = || Note::Gone { bid: LeaseId { run: 1, sequence: 1 }, how: BidEnding::Expired };
        (0..=NOTES_MAX).for_each(|_| brokers.streams().tell(Some(7), gone));
        let told = std::iter::from_fn(|| place.notes.try_recv().ok()).count();
        assert_eq!(told, NOTES_MAX);
        assert!(matches!(place.notes.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
        assert!(ends_session(&brokers, &place));
    }
}
