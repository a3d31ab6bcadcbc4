//! The order in which modules are compiled: first the account with the fewest turns under way, then the one whose last
//! turn is longest ago, then the smallest module. Never compiles one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Maximum number of modules that wait, each in memory, and of one account.
const WAITING_MAX: usize = 64;
const WAITING_OF_ONE_MAX: usize = 8;
/// Accounts whose last turns are remembered.
const REMEMBERED_MAX: usize = 1024;

/// The turns of one runtime.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    /// Maximum number of turns at once, and of one account.
    most: usize,
    most_of_one: usize,
    /// Turns at once, by account.
    running: HashMap<String, usize>,
    /// The number of the last turn of an account.
    last_turns: HashMap<String, u64>,
    turns: u64,
    waiting: Vec<Waiting>,
    arrived: u64,
}

struct Waiting {
    account: String,
    bytes: usize,
    number: u64,
    /// Turns that had begun when it came.
    turns: u64,
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
        let most_of_one = (most / 2).max(1);
        Turns(Arc::new(Mutex::new(Queue { most, most_of_one, ..Queue::default() })))
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
            let (number, turns) = (queue.arrived, queue.turns);
            queue.waiting.push(Waiting { account: account.to_owned(), bytes, number, turns, begin });
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
        // Just before the turns that begin after it came, so that new accounts do not overtake it.
        let turn = |one: &Waiting| {
            let last = queue.last_turns.get(&one.account).copied().unwrap_or(0);
            (2 * last).max((2 * one.turns).saturating_sub(1))
        };
        let order = |one: &Waiting| (of(&one.account), turn(one), one.bytes, one.number);
        let (next, _) = may_begin.min_by_key(|(_, one)| order(one))?;
        let next = queue.waiting.swap_remove(next);
        queue.begin(&next.account);
        Some(next)
    }
}

impl Queue {
    fn begin(&mut self, account: &str) {
        *self.running.entry(account.to_owned()).or_default() += 1;
        self.turns += 1;
        self.last_turns.insert(account.to_owned(), self.turns);
        if self.last_turns.len() > REMEMBERED_MAX {
            // Those of longer ago count as if they had none.
            let since = self.turns - REMEMBERED_MAX as u64 / 2;
            self.last_turns.retain(|_, turn| *turn > since);
        }
    }

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
