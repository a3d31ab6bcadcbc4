//! Bytes that are held for callers who have not proven who they are: bounded for each peer, and for all.

use std::net::IpAddr;

use super::CredentialError;
use crate::error::ApiError;
use crate::quota::shares::{Share, Shares};

/// For one peer: some payloads of the largest size at once.
const PEER_MAX_BYTES: usize = 32 << 20;
/// For all peers together.
const ALL_MAX_BYTES: usize = 256 << 20;

/// What is held at present.
#[derive(Clone)]
pub(crate) struct Unproven(Shares<Option<IpAddr>>);

/// Room for one payload, until it is dropped.
pub(crate) type Reading = Share<Option<IpAddr>>;

impl Default for Unproven {
    fn default() -> Unproven {
        Unproven(Shares::new(PEER_MAX_BYTES, ALL_MAX_BYTES))
    }
}

impl Unproven {
    /// Room for `bytes` of a payload that is to be checked.
    pub(crate) fn begin(&self, peer: Option<IpAddr>, bytes: usize) -> Result<Reading, CredentialError> {
        self.0.take(peer, bytes).map_err(|_| {
            let message = "too many payloads of this peer wait to be checked; try again shortly";
            CredentialError::Unchecked(Box::new(ApiError::unavailable(message)))
        })
    }
}
