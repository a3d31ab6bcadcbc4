//! Tokens that are accepted, refused and used.

use merit_proto::{TokenError, sign, v1};

use super::*;

const NOW: Time = Time::from_micros(1_000_000);
const SESSION: Credentials = Credentials { number: 3, key: [7; 32] };
const ASKED: InvocationPath<'_> = InvocationPath { account: "dev", function: "thumb", revision: 2 };

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

fn checked(token: &str) -> Result<ProvenLease, Refused> {
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
    let other = ProvenLease { id: LeaseId { run: 1, sequence: 4712 }, ..lease.clone() };
    let mut used = UsedLeases::default();
    assert!(used.mark(&lease, NOW).is_ok());
    assert!(matches!(used.mark(&lease, NOW), Err(Refused::TokenUsed)));
    assert!(used.mark(&other, NOW).is_ok());
}

#[test]
fn used_leases_are_remembered_until_they_expire_and_are_bounded() {
    let lease = checked(&sign(&SESSION.key, &claims())).unwrap();
    let numbered = |sequence| ProvenLease { id: LeaseId { run: 1, sequence }, ..lease.clone() };
    let mut used = UsedLeases::default();
    assert!((0..USED_MAX as u64).all(|sequence| used.mark(&numbered(sequence), NOW).is_ok()));
    assert!(matches!(used.mark(&numbered(u64::MAX), NOW), Err(Refused::Busy)));
    let later = ProvenLease { expires: Time::from_micros(2_000_000), ..numbered(u64::MAX) };
    assert!(used.mark(&later, lease.expires).is_ok());
    assert_eq!(used.0.len(), 1);
}
