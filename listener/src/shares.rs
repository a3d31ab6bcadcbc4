//! Quotas on a shared resource: a limit per holder and one for all. Refuses, never waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The holder of a share: an account where a key was shown, else the address of the peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    Account(Arc<str>),
    Peer(Option<IpAddr>),
}

/// A shared resource and its quotas. Clones share it.
pub struct Shares<K>(Arc<Shared<K>>);

struct Shared<K> {
    of_each: usize,
    of_all: usize,
    taken: Mutex<Taken<K>>,
}

struct Taken<K> {
    all: usize,
    by_each: HashMap<K, usize>,
}

/// A part of the resource, held until it is dropped.
pub struct Share<K: Eq + Hash> {
    shares: Shares<K>,
    holder: K,
    amount: usize,
}

/// The quota that refused a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The holder's quota.
    Each,
    /// The quota of all holders.
    All,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Shares<K> {
        Shares(self.0.clone())
    }
}

impl<K: Clone + Eq + Hash> Shares<K> {
    pub fn new(of_each: usize, of_all: usize) -> Shares<K> {
        let taken = Mutex::new(Taken { all: 0, by_each: HashMap::new() });
        Shares(Arc::new(Shared { of_each, of_all, taken }))
    }

    pub fn take(&self, holder: K, amount: usize) -> Result<Share<K>, Full> {
        let mut share = Share { shares: self.clone(), holder, amount: 0 };
        share.grow(amount)?;
        Ok(share)
    }
}

impl<K> Shares<K> {
    fn lock(&self) -> MutexGuard<'_, Taken<K>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Share<K> {
    /// Grows the share by `more`.
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        let Shared { of_each, of_all, .. } = *self.shares.0;
        let mut taken = self.shares.lock();
        let before = taken.by_each.get(&self.holder).copied().unwrap_or(0);
        if before + more > of_each {
            return Err(Full::Each);
        }
        if taken.all + more > of_all {
            return Err(Full::All);
        }
        if more > 0 {
            taken.all += more;
            taken.by_each.insert(self.holder.clone(), before + more);
            drop(taken);
            self.amount += more;
        }
        Ok(())
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.shares.lock();
        taken.all -= self.amount;
        if let Some(of_one) = taken.by_each.get_mut(&self.holder) {
            *of_one -= self.amount;
            if *of_one == 0 {
                taken.by_each.remove(&self.holder);
            }
        }
    }
}

impl<K: Eq + Hash> std::fmt::Debug for Share<K> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Share({})", self.amount)
    }
}

#[cfg(test)]
#[path = "../tests/unit/shares.rs"]
mod tests;
