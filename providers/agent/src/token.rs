//! Whether a token lets a call in: made for this session, for what is asked, not expired, not used before.
//!
//! Reads no clock: the time is given. Allows no skew: a token outlives its call by seconds.

use std::collections::BTreeSet;

use merit_proto::v1::LeaseClaims;
use merit_terms::{LeaseId, Time};

use crate::refused::Refused;
use crate::session::Credentials;

/// Tokens remembered as used, about 6 MB. A token lives for its timeout and a few seconds, so that this is far above
/// what the slots of a pool can use up; beyond it the provider is busy.
const USED_MAX: usize = 1 << 18;

/// What a call asks for, by its path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) account: &'a str,
    pub(crate) function: &'a str,
    pub(crate) revision: u32,
}

/// A lease that a token proves.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lease {
    pub(crate) id: LeaseId,
    pub(crate) expires: Time,
    pub(crate) claims: LeaseClaims,
}

/// What `token` says, if it is this session's and for what is asked.
pub(crate) fn check(
    token: &str,
    provider: &str,
    session: &Credentials,
    asked: Asked<'_>,
    now: Time,
) -> Result<Lease, Refused> {
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
    Ok(Lease { id: id.into(), expires, claims })
}

/// The leases that were used and could be shown again. The exchange makes one token for a lease, so that a lease has
/// one expiry.
#[derive(Debug, Default)]
pub(crate) struct UsedLeases(BTreeSet<(Time, LeaseId)>);

impl UsedLeases {
    /// Marks the lease as used; refuses one that is. Forgets what has expired by `now`.
    pub(crate) fn mark(&mut self, lease: &Lease, now: Time) -> Result<(), Refused> {
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
mod tests {
    use merit_proto::{TokenError, sign, v1};

    use super::*;

    const NOW: Time = Time::from_micros(1_000_000);
    const SESSION: Credentials = Credentials { number: 3, key: [7; 32] };
    const ASKED: Asked<'_> = Asked { account: "dev", function: "thumb", revision: 2 };

    fn claims() -> LeaseClaims {
        LeaseClaims {
            provider: "edge-1".into(),
            session: 3,
            lease: Some(v1::LeaseId { run: 1, sequence: 4711 }),
            account: "dev".into(),
            function: "thumb".into(),
            revision: 2,
            module: vec![9; 32],
            memory_mb: 128,
            timeout_ms: 3000,
            attempt: 1,
            expires: 1_000_001,
        }
    }

    fn checked(token: &str) -> Result<Lease, Refused> {
        check(token, "edge-1", &SESSION, ASKED, NOW)
    }

    fn refused(change: impl FnOnce(&mut LeaseClaims)) -> String {
        let mut changed = claims();
        change(&mut changed);
        checked(&sign(&SESSION.key, &changed)).unwrap_err().code().to_owned()
    }

    #[test]
    fn a_token_for_this_call_is_a_lease() {
        let lease = checked(&sign(&SESSION.key, &claims())).unwrap();
        assert_eq!(lease.id, LeaseId { run: 1, sequence: 4711 });
        assert_eq!((lease.expires, lease.claims), (Time::from_micros(1_000_001), claims()));
    }

    #[test]
    fn a_token_for_another_is_refused() {
        assert_eq!(refused(|claims| claims.provider = "edge-2".into()), "token_for_other");
        assert_eq!(refused(|claims| claims.session = 2), "token_for_other");
        assert_eq!(refused(|claims| claims.account = "other".into()), "token_for_other");
        assert_eq!(refused(|claims| claims.function = "thumbs".into()), "token_for_other");
        assert_eq!(refused(|claims| claims.revision = 1), "token_for_other");
        assert_eq!(refused(|claims| claims.lease = None), "token_for_other");
    }

    #[test]
    fn a_token_is_refused_from_its_expiry_on() {
        assert_eq!(refused(|claims| claims.expires = 1_000_000), "token_expired");
        assert_eq!(refused(|claims| claims.expires = 0), "token_expired");
    }

    #[test]
    fn forged_tokens_and_garbage_are_refused() {
        let of_another_key = sign(&[8; 32], &claims());
        assert!(matches!(checked(&of_another_key), Err(Refused::Token(TokenError::Forged))));
        let (own, other) = (sign(&SESSION.key, &claims()), sign(&SESSION.key, &LeaseClaims::default()));
        let spliced = format!("{}.{}", own.split_once('.').unwrap().0, other.split_once('.').unwrap().1);
        assert!(matches!(checked(&spliced), Err(Refused::Token(TokenError::Forged))));
        for garbage in ["", ".", "a.b", "nonsense", "====.====", &own[..own.len() - 1], &format!("{own}.")] {
            assert!(matches!(checked(garbage), Err(Refused::Token(_))), "{garbage}");
        }
    }

    #[test]
    fn a_lease_is_used_once() {
        let lease = checked(&sign(&SESSION.key, &claims())).unwrap();
        let other = Lease { id: LeaseId { run: 1, sequence: 4712 }, ..lease.clone() };
        let mut used = UsedLeases::default();
        assert!(used.mark(&lease, NOW).is_ok());
        assert!(matches!(used.mark(&lease, NOW), Err(Refused::TokenUsed)));
        assert!(used.mark(&other, NOW).is_ok());
    }

    #[test]
    fn used_leases_are_remembered_until_they_expire_and_are_bounded() {
        let lease = checked(&sign(&SESSION.key, &claims())).unwrap();
        let numbered = |sequence| Lease { id: LeaseId { run: 1, sequence }, ..lease.clone() };
        let mut used = UsedLeases::default();
        assert!((0..USED_MAX as u64).all(|sequence| used.mark(&numbered(sequence), NOW).is_ok()));
        assert!(matches!(used.mark(&numbered(u64::MAX), NOW), Err(Refused::Busy)));
        let later = Lease { expires: Time::from_micros(2_000_000), ..numbered(u64::MAX) };
        assert!(used.mark(&later, lease.expires).is_ok());
        assert_eq!(used.0.len(), 1);
    }
}
