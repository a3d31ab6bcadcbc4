//! What provider sessions are told: their leases, and that they are over.
//!
//! A projection of durable events into bounded queues, one a session. What does not fit is dropped: it only informs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use merit_engine::Event;
use merit_proto::v1;
use merit_proto::v1::exchange_message::Message;
use merit_terms::{LeaseId, Money, ProviderId};
use tokio::sync::mpsc;

use crate::intake::Happened;

/// Messages that may wait for a provider to read them.
const QUEUE_MAX: usize = 4096;

#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<ProviderId, Listener>>);

struct Listener {
    session: u32,
    queue: mpsc::Sender<Message>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<ProviderId, Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What concerns this session from now on. It ends at once if a later session of the
    /// provider listens, and when one does.
    pub(crate) fn listen(&self, provider: ProviderId, session: u32) -> mpsc::Receiver<Message> {
        let (queue, messages) = mpsc::channel(QUEUE_MAX);
        let mut listeners = self.lock();
        if listeners.get(&provider).is_none_or(|listener| listener.session <= session) {
            listeners.insert(provider, Listener { session, queue });
        }
        messages
    }

    pub(crate) fn apply(&self, happened: &[Happened]) {
        let mut listeners = self.lock();
        for event in happened.iter().flat_map(|one| &one.events) {
            match event {
                Event::Granted(lease) => {
                    let granted = v1::LeaseGranted { lease: Some(lease.id.into()), memory_mb: lease.memory_mb };
                    send(&listeners, lease.provider, Message::LeaseGranted(granted));
                }
                Event::Settled { lease, settlement, .. } => {
                    let revenue = settlement.cost.saturating_sub(settlement.fee);
                    send(&listeners, lease.provider, settled(lease.id, revenue));
                }
                Event::Ended { lease, .. } => send(&listeners, lease.provider, settled(lease.id, Money::ZERO)),
                Event::SessionEnded { provider, session, .. } => end(&mut listeners, *provider, *session),
                _ => {}
            }
        }
    }
}

fn end(listeners: &mut HashMap<ProviderId, Listener>, provider: ProviderId, session: u32) {
    if listeners.get(&provider).is_some_and(|listener| listener.session == session) {
        listeners.remove(&provider);
    }
}

fn settled(lease: LeaseId, revenue: Money) -> Message {
    Message::LeaseSettled(v1::LeaseSettled { lease: Some(lease.into()), revenue: revenue.picodollars() })
}

fn send(listeners: &HashMap<ProviderId, Listener>, provider: ProviderId, message: Message) {
    if let Some(listener) = listeners.get(&provider) {
        // A provider that reads slowly misses some of it; the ledger is the truth.
        drop(listener.queue.try_send(message));
    }
}
