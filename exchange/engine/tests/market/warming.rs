//! Warming: a provider that gets a revision ready is behind for it until it is expected to be ready, and not blamed.

use merit_engine::NotSent;
use merit_kit::{Floor, PRICE, name};
use merit_terms::{Limits, Refusal};

/// Time after which a provider that warms up is asked again where nothing else is left, in milliseconds.
const PAUSE_MS: u64 = 1_000;

/// Returns a market with a seller that warms up for 40 s.
fn warming() -> Floor {
    let mut floor = Floor::new();
    floor.seller("seller", 8, PRICE);
    let lease = floor.call().lease;
    floor.release(lease, NotSent::Warming { retry_after_s: 40 });
    floor
}

fn next(floor: &mut Floor) -> String {
    let lease = floor.call();
    floor.release(lease.lease, NotSent::Withdrawn);
    floor.engine.provider(lease.provider).unwrap().name.to_string()
}

#[test]
fn calls_go_elsewhere_until_it_is_expected_to_be_ready() {
    let mut floor = warming();
    floor.seller("dearer", 8, 4 * PRICE);
    floor.wait_ms(39_999);
    assert_eq!(next(&mut floor), "dearer");
    let quote = floor.engine.quote(&floor.bid(Limits::default())).unwrap();
    assert_eq!(quote.refused[0].reason.code(), "warming");
    floor.wait_ms(1);
    assert_eq!(next(&mut floor), "seller");
    assert!(floor.engine.health(floor.engine.find_provider(&name("seller")).unwrap()).is_empty(), "it did not fail");
}

#[test]
fn the_only_provider_is_asked_once_a_second() {
    let mut floor = warming();
    floor.wait_ms(PAUSE_MS - 1);
    let Err(Refusal::NoOffer { retry_after_ms, .. }) = floor.try_call(Limits::default()) else {
        panic!("it is not asked")
    };
    assert_eq!(retry_after_ms, Some(40_000 - PAUSE_MS + 1), "callers hear when it is expected to be ready");
    floor.wait_ms(1);
    let lease = floor.call().lease;
    floor.settle(lease, 100);
    assert_eq!(floor.granted(3), 3, "an answer shows that it is ready");
}

#[test]
fn a_warming_provider_is_behind_for_that_revision_only() {
    let mut floor = warming();
    floor.seller("dearer", 8, 4 * PRICE);
    (floor.buyer, floor.function) = floor.tenant("other");
    assert_eq!(next(&mut floor), "seller");
}

#[test]
fn a_resting_bid_is_matched_when_it_is_asked_again() {
    let mut floor = warming();
    floor.rest(PRICE);
    floor.wait_ms(PAUSE_MS - 1);
    assert!(floor.offered().is_none());
    floor.wait_ms(1);
    assert!(floor.offered().is_some());
}

#[test]
fn warming_ends_after_ten_minutes_at_most() {
    let mut floor = Floor::new();
    floor.seller("seller", 8, PRICE);
    floor.seller("dearer", 8, 4 * PRICE);
    let lease = floor.call().lease;
    floor.release(lease, NotSent::Warming { retry_after_s: u32::MAX });
    floor.wait_s(599);
    assert_eq!(next(&mut floor), "dearer");
    floor.wait_s(1);
    assert_eq!(next(&mut floor), "seller");
}
