//! Events as engine and twin both tell them: leases, bids, money, providers, sessions and keys, in any order within a
//! command.

use merit_engine::Event;
use merit_terms::{Money, OfferId};

/// Asserts that both tell the same facts; names those that only one of them tells.
pub(crate) fn same_facts(what: &str, engine: &[Event], twin: &[Event]) {
    let (engine, twin) = (facts(engine), facts(twin));
    let only =
        |these: &[String], those: &[String]| these.iter().filter(|fact| !those.contains(fact)).cloned().collect();
    let (only_engine, only_twin): (Vec<_>, Vec<_>) = (only(&engine, &twin), only(&twin, &engine));
    assert!(engine == twin, "{what}: only the engine tells {only_engine:#?}, only the twin {only_twin:#?}");
}

fn facts(events: &[Event]) -> Vec<String> {
    let mut facts: Vec<String> = events.iter().filter_map(fact).collect();
    facts.sort_unstable();
    facts
}

/// Names the fact of an event. An ended lease is only named: its terms were compared while it was open. Amounts of 0
/// need not be told.
fn fact(event: &Event) -> Option<String> {
    match event {
        Event::Moved { amount: Money::ZERO, .. } => None,
        Event::Granted(lease) if lease.offer == OfferId(0) => Some(format!("granted long ago {}", lease.id)),
        Event::Settled { lease, outcome, settlement, last_price, seller } => {
            Some(format!("settled {} {outcome} {settlement:?} {last_price:?} {seller:?}", lease.id))
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
        | Event::MarketChanged { .. }
        | Event::MarketDeleted { .. }
        | Event::KeyChanged { .. } => Some(format!("{event:?}")),
        Event::Offer(_)
        | Event::OfferGone { .. }
        | Event::OfferLeased { .. }
        | Event::Pool { .. }
        | Event::AccountOpened { .. }
        | Event::MarketCreated { .. }
        | Event::ProviderRegistered { .. } => None,
    }
}
