//! Refusals as a broker reads them.

use merit_adapters::{NotTaken, ProviderAnswer, agent};

use super::*;

fn read(refused: Refused) -> ProviderAnswer {
    agent::answer(&refused.into_response().into_parts().0)
}

#[test]
fn a_refusal_is_not_sent_a_lost_guest_unknown() {
    for (refused, expected) in [
        (Refused::Busy, NotTaken::Full),
        (Refused::Draining, NotTaken::Full),
        (Refused::Warming { retry_after_s: 7 }, NotTaken::Warming { retry_after_s: 7 }),
        (Refused::TokenUsed, NotTaken::Failed),
        (Refused::ModuleUnavailable, NotTaken::Failed),
        (Refused::PayloadTooLarge, NotTaken::Call),
        (Refused::NoModule, NotTaken::Call),
        (Refused::ModuleUnusable("no".to_owned()), NotTaken::Call),
    ] {
        assert!(matches!(read(refused), ProviderAnswer::NotSent { why, .. } if why == expected), "{expected:?}");
    }
    assert!(matches!(read(Refused::Lost), ProviderAnswer::Unknown { .. }));
}
