//! Events as both tell them: what happened to leases, bids, money, providers and sessions, whatever their order within
//! a command.

use merit_engine::Event;
use merit_terms::{Money, OfferId};

pub(crate) fn facts(events: &[Event]) -> Vec<String> {
    let mut facts: Vec<String> = events.iter().filter_map(fact).collect();
    facts.sort_unstable();
    facts
}

/// Leases that ended are named; how they stood was compared while they were open. Amounts of 0 need not be told.
fn fact(event: &Event) -> Option<String> {
    match event {
        Event::Moved { amount: Money::ZERO, .. } => None,
        Event::Granted(lease) if lease.offer == OfferId(0) => Some(format!("granted long ago {}", lease.id)),
        Event::Settled { lease, outcome, settlement, spot_price } => {
            Some(format!("settled {} {outcome} {settlement:?} {spot_price:?}", lease.id))
        }
        Event::Ended { lease, how } => Some(format!("ended {} {how:?}", lease.id)),
        Event::BidGone { resting, how } => Some(format!("bid gone {} {how:?}", resting.id)),
        Event::Granted(_)
        | Event::Offered(_)
        | Event::BidRested(_)
        | Event::Claimed { .. }
        | Event::Moved { .. }
        | Event::Protected { .. }
        | Event::Health { .. }
        | Event::SessionBegan { .. }
        | Event::SessionEnded { .. }
        | Event::MarketChanged { .. } => Some(format!("{event:?}")),
        Event::Offer(_)
        | Event::OfferGone { .. }
        | Event::OfferLeased { .. }
        | Event::Pool { .. }
        | Event::AccountOpened { .. }
        | Event::MarketCreated { .. }
        | Event::ProviderRegistered { .. } => None,
    }
}
