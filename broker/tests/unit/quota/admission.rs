//! Quotas on invocations and market streams.

use super::*;

fn admission(is_keyless: bool) -> Admission {
    Admission::new(is_keyless, Arc::new(Metrics::new().unwrap()), CancellationToken::new())
}

/// Takes all room for invocations but one.
pub(crate) fn take_all_but_one(admission: &Admission) -> OwnedSemaphorePermit {
    admission.room.clone().try_acquire_many_owned(admission.invocations_max as u32 - 1).unwrap()
}

#[test]
fn one_account_leaves_room_for_others() {
    let admission = admission(false);
    let (ours, theirs) = (Arc::from("ours"), Arc::from("theirs"));
    let mut taken: Vec<Admitted> =
        (0..admission.invocations_max.div_ceil(2)).map(|_| admission.invocation(&ours).unwrap()).collect();
    let refused = admission.invocation(&ours).err().unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.code.as_str(), refused.retry_after_s),
        (429, "too_many_calls", Some(1))
    );
    assert!(admission.invocation(&theirs).is_ok());
    taken.pop();
    assert!(admission.invocation(&ours).is_ok());
}

#[test]
fn market_streams_have_a_quota_for_each_and_for_all() {
    let admission = admission(false);
    let holder = |number: usize| Holder::Account(number.to_string().into());
    let mut held: Vec<_> = (0..HOLDER_STREAMS_MAX).map(|_| admission.stream(holder(0)).unwrap()).collect();
    let refused = admission.stream(holder(0)).err().unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.code.as_str(), refused.retry_after_s),
        (429, "too_many_streams", Some(10))
    );
    held.extend((HOLDER_STREAMS_MAX..STREAMS_MAX).map(|number| admission.stream(holder(number)).unwrap()));
    let refused = admission.stream(Holder::Peer(None)).err().unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.code.as_str(), refused.retry_after_s),
        (503, "overloaded", Some(10))
    );
}
