//! Bytes that are held for callers who have not proven who they are: bounded for each peer, and for all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::CredentialError;
use crate::error::ApiError;

/// For one peer: some payloads of the largest size at once.
const PEER_MAX_BYTES: usize = 32 << 20;
/// For all peers together.
const ALL_MAX_BYTES: usize = 256 << 20;

/// What is held at present.
#[derive(Clone, Default)]
pub(crate) struct Unproven(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// Room for one payload, until it is dropped.
pub(crate) struct Reading {
    unproven: Unproven,
    peer: Option<IpAddr>,
    bytes: usize,
}

impl Unproven {
    /// Room for `bytes` of a payload that is to be checked.
    pub(crate) fn begin(&self, peer: Option<IpAddr>, bytes: usize) -> Result<Reading, CredentialError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = peer.map_or(0, |peer| held.by_peer.get(&peer).copied().unwrap_or(0));
        if of_peer + bytes > PEER_MAX_BYTES || held.all + bytes > ALL_MAX_BYTES {
            let message = "too many payloads of this peer wait to be checked; try again shortly";
            return Err(CredentialError::Unchecked(Box::new(ApiError::unavailable(message))));
        }
        held.all += bytes;
        if let Some(peer) = peer {
            held.by_peer.insert(peer, of_peer + bytes);
        }
        Ok(Reading { unproven: self.clone(), peer, bytes })
    }
}

impl Reading {
    /// The payload turned out to be of so many bytes: the rest of the room is given back.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.give_back(self.bytes.saturating_sub(bytes));
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        let mut held = self.unproven.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= bytes;
        if let Some(peer) = self.peer
            && let Some(of_peer) = held.by_peer.get_mut(&peer)
        {
            *of_peer -= bytes;
            if *of_peer == 0 {
                held.by_peer.remove(&peer);
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_bound_and_gets_it_back() {
        let (unproven, peer) = (Unproven::default(), |last| Some(IpAddr::from([10, 0, 0, last])));
        let half = PEER_MAX_BYTES / 2;
        let first = unproven.begin(peer(1), half).unwrap();
        let second = unproven.begin(peer(1), half);
        assert!(second.is_ok() && unproven.begin(peer(1), 1).is_err());
        assert!(unproven.begin(peer(2), half).is_ok(), "another has its own");
        drop(first);
        let mut third = unproven.begin(peer(1), half).unwrap();
        third.shrink(1);
        assert!(unproven.begin(peer(1), half - 1).is_ok() && unproven.begin(peer(1), half).is_err());
        drop(third);
        drop(second);
        assert!(unproven.0.lock().unwrap().by_peer.is_empty());
    }
}
