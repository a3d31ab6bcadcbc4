//! Brokers' streams: one a session, and the news of its resting bids.
//!
//! A projection of durable events into one bounded queue a stream; a stream that does not read loses its queue. Owns
//! the fencing: a later stream of a session ends the one before.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use merit_engine::{BidEnding, Event, Grant};
use merit_terms::LeaseId;
use tokio::sync::mpsc;

use crate::sequencer::Happened;

/// Queue length of news before a broker.
const NOTES_MAX: usize = 4096;

/// News for a broker that it did not ask for.
#[derive(Debug)]
pub(crate) enum BrokerNote {
    /// A resting bid is matched.
    Offered(Box<Grant>),
    /// A resting bid left the books unmatched.
    Gone { bid: LeaseId, how: BidEnding },
}

#[derive(Default)]
pub(crate) struct Brokers {
    /// Locked while a session begins or ends in the engine, so that the two lists agree.
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
    notes: mpsc::Sender<BrokerNote>,
}

/// An open stream of a session.
pub(crate) struct OpenStream {
    session: u64,
    number: u64,
    pub(crate) notes: mpsc::Receiver<BrokerNote>,
}

impl Brokers {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a session by `logon`, which returns its number. A resumed session fences the stream that had it.
    pub(crate) fn begin<T, E>(
        &self,
        resumes: Option<u64>,
        logon: impl FnOnce() -> Result<(u64, T), E>,
    ) -> Result<(OpenStream, T), E> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the engine may match its bids: no offer is missed.
        let early = resumes.map(|session| self.streams().begin(session));
        match logon() {
            Ok((session, begun)) => Ok((early.unwrap_or_else(|| self.streams().begin(session)), begun)),
            Err(error) => {
                if let Some(own_stream) = early {
                    self.streams().end(&own_stream);
                }
                Err(error)
            }
        }
    }

    /// Ends a stream. Calls `lost` to end its session in the engine, unless a later stream has it.
    pub(crate) fn end(&self, own_stream: &OpenStream, lost: impl FnOnce(u64)) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.streams().end(own_stream) {
            lost(own_stream.session);
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
                    streams.tell(grant.request.map(|request| request.session), || BrokerNote::Offered(grant.clone()));
                }
                Event::BidGone { resting, how: how @ (BidEnding::Cancelled | BidEnding::Expired) } => {
                    let session = resting.deferred.bid.request.map(|request| request.session);
                    streams.tell(session, || BrokerNote::Gone { bid: resting.id, how: *how });
                }
                _ => {}
            }
        }
    }
}

impl Streams {
    fn begin(&mut self, session: u64) -> OpenStream {
        self.begun += 1;
        let (sender, notes) = mpsc::channel(NOTES_MAX);
        self.of_session.insert(session, Stream { number: self.begun, notes: sender });
        OpenStream { session, number: self.begun, notes }
    }

    /// Removes a stream. Returns true if no later stream has its session.
    fn end(&mut self, own_stream: &OpenStream) -> bool {
        match self.of_session.get(&own_stream.session) {
            Some(stream) if stream.number != own_stream.number => false,
            _ => {
                self.of_session.remove(&own_stream.session);
                true
            }
        }
    }

    fn tell(&mut self, session: Option<u64>, note: impl FnOnce() -> BrokerNote) {
        let Some(session) = session else { return };
        if let Some(stream) = self.of_session.get(&session)
            && stream.notes.try_send(note()).is_err()
        {
            self.of_session.remove(&session);
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/sessions/brokers.rs"]
mod tests;
