//! Turns of changes that read before they write: one at a time for an account, so that none undoes another.
//!
//! Holds at this broker only.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::ApiError;

/// Queues of all accounts; some share one.
const QUEUES: usize = 64;
/// Time that a change waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// The queues, by the account's hash.
pub(super) struct Turns {
    hasher: RandomState,
    queues: [Semaphore; QUEUES],
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { hasher: RandomState::new(), queues: std::array::from_fn(|_| Semaphore::new(1)) }
    }
}

impl Turns {
    /// Waits for the account's turn, which lasts until the permit is dropped.
    pub(super) async fn take(&self, account: &str) -> Result<SemaphorePermit<'_>, ApiError> {
        let queue = self.hasher.hash_one(account) % QUEUES as u64;
        let turn = tokio::time::timeout(TURN_WITHIN, self.queues[queue as usize].acquire()).await;
        let busy = || ApiError::overloaded("too many functions of the account are changed at once; try again shortly");
        turn.ok().and_then(Result::ok).ok_or_else(busy)
    }
}
