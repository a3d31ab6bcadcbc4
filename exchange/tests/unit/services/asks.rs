//! The moment of each answer to a broker.

use super::*;

const LEASE: v1::LeaseId = v1::LeaseId { run: 1, sequence: 5 };

#[test]
fn only_refusals_without_a_change_precede_durability() {
    let waits = |about, reply| match answer(&Engine::new(), about, reply).unwrap() {
        Answer::Now(_) | Answer::Grant(..) => false,
        Answer::Durable(_) => true,
    };
    for about in [About::Settle, About::Release, About::TakeUp, About::CancelBid].map(|about| about(LEASE)) {
        assert!(waits(about, Ok(Reply::Done)), "{about:?} is done");
        assert!(waits(about, Err(Refusal::Closed)), "{about:?} of what is closed");
    }
    assert!(waits(About::Number(7), Ok(Reply::Resting(LEASE.into()))));
    assert!(!waits(About::Settle(LEASE), Err(Refusal::Forgotten)));
    assert!(!waits(About::Number(7), Err(Refusal::NotInSession)));
}
