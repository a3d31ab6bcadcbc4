//! Quotas on a shared resource: a limit per holder and one for all. Refuses, never waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The holder of a share: an account where a key was shown, else the address of the peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    Account(Arc<str>),
    /// As [`network`] gives it. None for a caller in this process.
    Peer(Option<IpAddr>),
}

impl Holder {
    /// Returns the holder of a caller without a key.
    pub fn peer(address: Option<&SocketAddr>) -> Holder {
        Holder::Peer(address.map(|address| network(address.ip())))
    }

    fn is_peer(&self) -> bool {
        matches!(self, Holder::Peer(_))
    }
}

/// Returns the address that quotas count: an IPv4 address, or the /64 network of an IPv6 one, which one host has whole.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

/// A shared resource and its quotas. Clones share it.
pub struct Shares<K>(Arc<Shared<K>>);

struct Shared<K> {
    of_each: usize,
    of_all: usize,
    /// Returns true for a holder that only has a part of what all may hold together with its like.
    is_peer: fn(&K) -> bool,
    taken: Mutex<Taken<K>>,
}

struct Taken<K> {
    all: usize,
    peers: usize,
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
    /// The quota of all holders, or of all peers.
    All,
}

impl<K> Clone for Shares<K> {
    fn clone(&self) -> Shares<K> {
        Shares(self.0.clone())
    }
}

impl<K: Clone + Eq + Hash> Shares<K> {
    pub fn new(of_each: usize, of_all: usize) -> Shares<K> {
        Shares::with_peers(of_each, of_all, |_| false)
    }

    fn with_peers(of_each: usize, of_all: usize, is_peer: fn(&K) -> bool) -> Shares<K> {
        let taken = Mutex::new(Taken { all: 0, peers: 0, by_each: HashMap::new() });
        Shares(Arc::new(Shared { of_each, of_all, is_peer, taken }))
    }

    pub fn take(&self, holder: K, amount: usize) -> Result<Share<K>, Full> {
        let mut share = Share { shares: self.clone(), holder, amount: 0 };
        share.grow(amount)?;
        Ok(share)
    }
}

impl Shares<Holder> {
    /// Makes quotas of which peers without a key have at most half, so that accounts always find room.
    pub fn half_for_peers(of_each: usize, of_all: usize) -> Shares<Holder> {
        Shares::with_peers(of_each, of_all, Holder::is_peer)
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
        let Shared { of_each, of_all, is_peer, .. } = *self.shares.0;
        let is_peer = is_peer(&self.holder);
        let mut taken = self.shares.lock();
        let before = taken.by_each.get(&self.holder).copied().unwrap_or(0);
        if before + more > of_each {
            return Err(Full::Each);
        }
        if taken.all + more > of_all || is_peer && taken.peers + more > of_all / 2 {
            return Err(Full::All);
        }
        if more > 0 {
            taken.all += more;
            taken.peers += if is_peer { more } else { 0 };
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
        taken.peers -= if (self.shares.0.is_peer)(&self.holder) { self.amount } else { 0 };
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
