//! The quota on signed payloads in memory, which are read before their sender is proven: one per peer, and one for all.

use std::net::IpAddr;

use super::credential::CredentialError;
use crate::error::ApiError;
use merit_listener::{Share, Shares};

/// Bytes for one peer: some payloads of the largest size at once.
const PEER_MAX_BYTES: usize = 32 << 20;
/// Bytes for all peers.
const ALL_MAX_BYTES: usize = 256 << 20;

/// The quota. Clones share it.
#[derive(Clone)]
pub(crate) struct Unproven(Shares<Option<IpAddr>>);

/// Room for one payload, until it is dropped.
pub(crate) type UnprovenShare = Share<Option<IpAddr>>;

impl Default for Unproven {
    fn default() -> Unproven {
        Unproven(Shares::new(PEER_MAX_BYTES, ALL_MAX_BYTES))
    }
}

impl Unproven {
    /// Takes room for a payload that is to be checked.
    pub(crate) fn begin(&self, peer: Option<IpAddr>, bytes: usize) -> Result<UnprovenShare, CredentialError> {
        self.0.take(peer, bytes).map_err(|_| {
            let message = "too many payloads of this peer wait to be checked; try again shortly";
            CredentialError::Unchecked(Box::new(ApiError::unavailable(message)))
        })
    }
}
