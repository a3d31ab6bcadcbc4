//! Refusals as a broker reads them.

use merit_adapters::{ProviderAnswer, agent};

use super::*;

fn read(refused: Refused) -> ProviderAnswer {
    agent::answer(&refused.into_response().into_parts().0)
}

#[test]
fn a_refusal_is_not_sent_a_lost_guest_unknown() {
    assert!(matches!(read(Refused::Busy), ProviderAnswer::NotSent { busy: true, .. }));
    assert!(matches!(read(Refused::TokenUsed), ProviderAnswer::NotSent { busy: false, .. }));
    assert!(matches!(read(Refused::Draining), ProviderAnswer::NotSent { busy: true, .. }));
    assert!(matches!(read(Refused::PayloadTooLarge), ProviderAnswer::NotSent { busy: false, .. }));
    assert!(matches!(read(Refused::Lost), ProviderAnswer::Unknown { .. }));
}
