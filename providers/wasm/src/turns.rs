//! The order in which modules are compiled: fair by account, smallest first. Never compiles one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Maximum number of modules that wait, each in memory, and of one account.
const WAITING_MAX: usize = 64;
const WAITING_OF_ONE_MAX: usize = 8;

/// The turns of one runtime.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<Queue>>);

struct Queue {
    /// Maximum number of turns at once, and of one account.
    most: usize,
    most_of_one: usize,
    /// Turns at once, by account.
    running: HashMap<String, usize>,
    waiting: Vec<Waiting>,
    arrived: u64,
}

struct Waiting {
    account: String,
    bytes: usize,
    number: u64,
    begin: oneshot::Sender<Turn>,
}

/// The right to compile one module, until it is dropped.
pub(crate) struct Turn {
    turns: Turns,
    account: String,
}

/// The queue of modules is full.
#[derive(Debug)]
pub(crate) struct QueueFull;

impl Turns {
    pub(crate) fn new(most: usize) -> Turns {
        let most = most.max(1);
        let queue =
            Queue { most, most_of_one: (most / 2).max(1), running: HashMap::new(), waiting: Vec::new(), arrived: 0 };
        Turns(Arc::new(Mutex::new(queue)))
    }

    /// Returns whether one more module of an account may wait.
    pub(crate) fn has_room(&self, account: &str) -> bool {
        self.lock().has_room(account)
    }

    /// Waits for a turn.
    pub(crate) async fn wait(&self, account: &str, bytes: usize) -> Result<Turn, QueueFull> {
        let (begin, begun) = oneshot::channel();
        {
            let mut queue = self.lock();
            if !queue.has_room(account) {
                return Err(QueueFull);
            }
            queue.arrived += 1;
            let number = queue.arrived;
            queue.waiting.push(Waiting { account: account.to_owned(), bytes, number, begin });
        }
        self.begin_next();
        begun.await.map_err(|_| QueueFull)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the turns that there is room for.
    fn begin_next(&self) {
        while let Some(Waiting { account, begin, .. }) = self.take_next() {
            // One whose caller is gone is dropped here, which ends its turn.
            drop(begin.send(Turn { turns: self.clone(), account }));
        }
    }

    fn take_next(&self) -> Option<Waiting> {
        let mut queue = self.lock();
        if queue.running.values().sum::<usize>() >= queue.most {
            return None;
        }
        let of = |account: &String| queue.running.get(account).copied().unwrap_or(0);
        let may_begin = queue.waiting.iter().enumerate().filter(|(_, one)| of(&one.account) < queue.most_of_one);
        let (next, _) = may_begin.min_by_key(|(_, one)| (of(&one.account), one.bytes, one.number))?;
        let next = queue.waiting.swap_remove(next);
        *queue.running.entry(next.account.clone()).or_default() += 1;
        Some(next)
    }
}

impl Queue {
    /// Returns whether one more module of an account may wait. Forgets those whose callers are gone.
    fn has_room(&mut self, account: &str) -> bool {
        self.waiting.retain(|one| !one.begin.is_closed());
        let of_one = self.waiting.iter().filter(|one| one.account == account).count();
        self.waiting.len() < WAITING_MAX && of_one < WAITING_OF_ONE_MAX
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut queue = self.turns.lock();
            if let Some(running) = queue.running.get_mut(&self.account) {
                *running -= 1;
                if *running == 0 {
                    queue.running.remove(&self.account);
                }
            }
        }
        self.turns.begin_next();
    }
}

#[cfg(test)]
#[path = "../tests/unit/turns.rs"]
mod tests;
