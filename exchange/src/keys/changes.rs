//! The news of changed keys, as changes become durable: caches of keys drop their entries.
//!
//! A projection of durable events into one bounded ring. A reader that falls behind is told so, never waited for.

use merit_engine::Event;
use merit_terms::KeyId;
use tokio::sync::broadcast;

use crate::sequencer::Happened;

/// Length of the ring in changes.
const KEPT_MAX: usize = 1024;

pub(crate) struct KeyChanges(broadcast::Sender<KeyId>);

impl Default for KeyChanges {
    fn default() -> KeyChanges {
        KeyChanges(broadcast::channel(KEPT_MAX).0)
    }
}

impl KeyChanges {
    /// Subscribes to all changes from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<KeyId> {
        self.0.subscribe()
    }

    pub(crate) fn apply(&self, happened: &[Happened]) {
        for event in happened.iter().flat_map(|one| &one.events) {
            if let Event::KeyChanged { key } = event {
                // Without a reader there is no cache.
                drop(self.0.send(*key));
            }
        }
    }
}
