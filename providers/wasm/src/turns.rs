//! The order in which modules are compiled: first the account with the fewest turns under way, then the one whose last
//! turn is longest ago, then the smallest module. Never compiles one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Maximum number of reservations, each for a module in memory, and of one account.
const RESERVED_MAX: usize = 64;
const RESERVED_OF_ONE_MAX: usize = 8;
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
    /// Reservations, by account.
    reserved: HashMap<String, usize>,
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

/// A reserved place in the queue, for one module of an account: held from before it is fetched until its turn begins.
pub(crate) struct Reservation {
    turns: Turns,
    account: String,
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

    /// Reserves a place in the queue. Refuses if the account's quota or the queue's is used up.
    pub(crate) fn reserve(&self, account: &str) -> Result<Reservation, QueueFull> {
        let mut queue = self.lock();
        let of_one = queue.reserved.get(account).copied().unwrap_or(0);
        if of_one >= RESERVED_OF_ONE_MAX || queue.reserved.values().sum::<usize>() >= RESERVED_MAX {
            return Err(QueueFull);
        }
        queue.reserved.insert(account.to_owned(), of_one + 1);
        Ok(Reservation { turns: self.clone(), account: account.to_owned() })
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

impl Reservation {
    /// Waits for the turn of a module of so many bytes.
    pub(crate) async fn wait(self, bytes: usize) -> Result<Turn, QueueFull> {
        let (begin, begun) = oneshot::channel();
        {
            let mut queue = self.turns.lock();
            // Forgets the modules whose reservations were given up.
            queue.waiting.retain(|one| !one.begin.is_closed());
            queue.arrived += 1;
            let (number, turns) = (queue.arrived, queue.turns);
            queue.waiting.push(Waiting { account: self.account.clone(), bytes, number, turns, begin });
        }
        self.turns.begin_next();
        begun.await.map_err(|_| QueueFull)
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
}

/// Takes one from an account's count.
fn decrement(counts: &mut HashMap<String, usize>, account: &str) {
    if let Some(count) = counts.get_mut(account) {
        *count -= 1;
        if *count == 0 {
            counts.remove(account);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        decrement(&mut self.turns.lock().reserved, &self.account);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        decrement(&mut self.turns.lock().running, &self.account);
        self.turns.begin_next();
    }
}

#[cfg(test)]
#[path = "../tests/unit/turns.rs"]
mod tests;
