//! The check of a call's token: made for this session and this revision, not expired, not used before.
//!
//! Never reads a clock: the time is given. Allows no skew, because a token outlives its call by seconds.

use std::collections::BTreeSet;

use merit_proto::v1::LeaseClaims;
use merit_terms::{LeaseId, Time};

use crate::refused::Refused;
use crate::session::Credentials;

/// Maximum number of used tokens that are remembered, about 6 MB. A token lives for its timeout and a few seconds, so
/// this is far above the use of a pool's slots; beyond it the provider is busy.
const USED_MAX: usize = 1 << 18;

/// The revision that a call names in its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvocationPath<'a> {
    pub(crate) account: &'a str,
    pub(crate) function: &'a str,
    pub(crate) revision: u32,
}

/// A lease that a token proves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ProvenLease {
    pub(crate) id: LeaseId,
    pub(crate) expires: Time,
    pub(crate) claims: LeaseClaims,
}

/// Checks that `token` is of this session and for the asked revision. Returns its lease.
pub(crate) fn check(
    token: &str,
    provider: &str,
    session: &Credentials,
    asked: InvocationPath<'_>,
    now: Time,
) -> Result<ProvenLease, Refused> {
    let claims = merit_proto::verify(&session.key, token).map_err(Refused::Token)?;
    let checks = [
        ("provider", claims.provider == provider),
        ("session", claims.session == session.number),
        ("account", claims.account == asked.account),
        ("function", claims.function == asked.function),
        ("revision", claims.revision == asked.revision),
    ];
    if let Some((what, _)) = checks.into_iter().find(|(_, same)| !same) {
        return Err(Refused::TokenForOther { what });
    }
    let expires = Time::from_micros(claims.expires);
    if expires <= now {
        return Err(Refused::TokenExpired);
    }
    let id = claims.lease.ok_or(Refused::TokenForOther { what: "lease" })?;
    Ok(ProvenLease { id: id.into(), expires, claims })
}

/// The used leases whose tokens could be shown again. The exchange makes one token for a lease, so a lease has one
/// expiry.
#[derive(Debug, Default)]
pub(crate) struct UsedLeases(BTreeSet<(Time, LeaseId)>);

impl UsedLeases {
    /// Marks the lease as used. Refuses one that already is. Forgets leases that have expired by `now`.
    pub(crate) fn mark(&mut self, lease: &ProvenLease, now: Time) -> Result<(), Refused> {
        while self.0.first().is_some_and(|(expires, _)| *expires <= now) {
            self.0.pop_first();
        }
        if self.0.contains(&(lease.expires, lease.id)) {
            return Err(Refused::TokenUsed);
        }
        if self.0.len() >= USED_MAX {
            return Err(Refused::Busy);
        }
        self.0.insert((lease.expires, lease.id));
        Ok(())
    }
}

#[cfg(test)]
#[path = "../tests/unit/token.rs"]
mod tests;
