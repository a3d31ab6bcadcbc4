//! Turns of changes that read before they write: one at a time for an account, so that none undoes another.
//!
//! Holds at this broker only. An account waits for its own changes and for nobody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// Changes of one account that wait at once.
const WAITING_MAX: usize = 32;
/// Time that a change waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// A queue for each account that has changes under way.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<Semaphore>>>);

/// An account's turn, until it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    account: String,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    fn queues(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the account's turn. Refuses where too many of its changes wait, or for too long.
    pub(super) async fn take(&self, account: &str) -> Result<Turn<'_>, ApiError> {
        let busy = || ApiError::overloaded("too many functions of the account are changed at once; try again shortly");
        // Dropped last, so that it sees whether the queue is of use to anybody else.
        let mut turn = Turn { turns: self, account: account.to_owned(), permit: None };
        let queue = self.queues().entry(account.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone();
        // Held by the map, by the change whose turn it is, and by each that waits, this one included.
        if Arc::strong_count(&queue) > WAITING_MAX + 2 {
            return Err(busy());
        }
        let permit = tokio::time::timeout(TURN_WITHIN, queue.acquire_owned()).await;
        turn.permit = Some(permit.ok().and_then(Result::ok).ok_or_else(busy)?);
        Ok(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.permit = None;
        let mut queues = self.turns.queues();
        if queues.get(&self.account).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.account);
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/exchange/turns.rs"]
mod tests;
