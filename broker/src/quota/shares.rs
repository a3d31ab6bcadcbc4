//! What each caller may take of something that all share: so much for each, so much for all together, and never a wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;

use crate::caller::{Caller, Role};

/// Whose share something is: an account's where a key was shown, else that of the address it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Account(Arc<str>),
    Peer(Option<IpAddr>),
}

impl Holder {
    /// Who asks by this request.
    pub(crate) fn of(parts: &Parts) -> Holder {
        match parts.extensions.get::<Caller>() {
            Some(caller) if caller.role != Role::All => Holder::Account(caller.account.clone()),
            _ => Holder::Peer(parts.extensions.get::<SocketAddr>().map(SocketAddr::ip)),
        }
    }
}

/// Something shared, of which each may take some. Clones share it.
pub(crate) struct Shares<K>(Arc<Shared<K>>);

struct Shared<K> {
    of_each: usize,
    of_all: usize,
    taken: Mutex<Taken<K>>,
}

struct Taken<K> {
    all: usize,
    by_each: HashMap<K, usize>,
}

/// What was taken, until it is dropped.
pub(crate) struct Share<K: Eq + Hash> {
    shares: Shares<K>,
    who: K,
    amount: usize,
}

/// Why nothing could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The one who asks has taken all that it may.
    Each,
    /// All together have.
    All,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Shares<K> {
        Shares(self.0.clone())
    }
}

impl<K: Clone + Eq + Hash> Shares<K> {
    pub(crate) fn new(of_each: usize, of_all: usize) -> Shares<K> {
        let taken = Mutex::new(Taken { all: 0, by_each: HashMap::new() });
        Shares(Arc::new(Shared { of_each, of_all, taken }))
    }

    pub(crate) fn take(&self, who: K, amount: usize) -> Result<Share<K>, Full> {
        let mut share = Share { shares: self.clone(), who, amount: 0 };
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
    /// Takes so much more.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Full> {
        let Shared { of_each, of_all, .. } = *self.shares.0;
        let mut taken = self.shares.lock();
        let before = taken.by_each.get(&self.who).copied().unwrap_or(0);
        if before + more > of_each {
            return Err(Full::Each);
        }
        if taken.all + more > of_all {
            return Err(Full::All);
        }
        if more > 0 {
            taken.all += more;
            taken.by_each.insert(self.who.clone(), before + more);
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
        if let Some(of_one) = taken.by_each.get_mut(&self.who) {
            *of_one -= self.amount;
            if *of_one == 0 {
                taken.by_each.remove(&self.who);
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
mod tests {
    use super::*;

    #[test]
    fn each_has_its_bound_and_gets_it_back() {
        let shares = Shares::new(10, 100);
        let first = shares.take(1, 5).unwrap();
        let mut second = shares.take(1, 4).unwrap();
        assert_eq!(shares.take(1, 2).unwrap_err(), Full::Each);
        assert_eq!((second.grow(1), second.grow(1)), (Ok(()), Err(Full::Each)));
        assert!(shares.take(2, 10).is_ok(), "another has its own");
        drop(first);
        assert!(shares.take(1, 5).is_ok());
        drop(second);
        assert!(shares.lock().by_each.is_empty() && shares.lock().all == 0, "nobody is kept who holds nothing");
    }

    #[test]
    fn all_together_have_a_bound() {
        let shares = Shares::new(10, 15);
        let _first = shares.take(1, 10).unwrap();
        let mut second = shares.take(2, 5).unwrap();
        assert_eq!((second.grow(1), shares.take(3, 1).unwrap_err()), (Err(Full::All), Full::All));
    }
}
