//! The recipient of an answer: the door that waits for it, or for the parts of one that streams.

use tokio::sync::{mpsc, oneshot};

use super::stream::{Part, Rest};
use super::{Answered, Told, WhenGone};

/// Parts of an answer in the queue to a slow caller.
const PARTS_MAX: usize = 8;

pub(super) struct Recipient {
    /// None once it is answered.
    waits: Option<oneshot::Sender<Told>>,
    /// Set for an answer that streams.
    parts: Option<mpsc::Sender<Part>>,
    pub(super) when_gone: WhenGone,
}

impl Recipient {
    pub(super) fn new(waits: oneshot::Sender<Told>, when_gone: WhenGone) -> Recipient {
        Recipient { waits: Some(waits), parts: None, when_gone }
    }

    /// Answers, unless it is answered or the caller is gone.
    pub(super) fn tell(&mut self, told: Told) {
        if let Some(waits) = self.waits.take() {
            drop(waits.send(told));
        }
    }

    /// Answers with the beginning of an answer; its rest of `length` bytes follows by parts.
    pub(super) fn begin(&mut self, mut answered: Answered, length: Option<u64>) {
        let (sender, parts) = mpsc::channel(PARTS_MAX);
        answered.rest = Some(Rest { parts, length });
        self.parts = Some(sender);
        self.tell(Ok(answered));
    }

    /// Returns the queue of parts once an answer streams.
    pub(super) fn parts(&self) -> Option<&mpsc::Sender<Part>> {
        self.parts.as_ref()
    }

    /// Returns true if the caller is gone and the call is to be cancelled.
    pub(super) fn is_gone(&self) -> bool {
        self.when_gone == WhenGone::Cancel && self.waits.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Returns when the caller is gone and the call is to be cancelled; never otherwise.
    pub(super) async fn gone(&mut self) {
        match (&mut self.waits, self.when_gone) {
            (Some(waits), WhenGone::Cancel) => waits.closed().await,
            _ => std::future::pending().await,
        }
    }
}
