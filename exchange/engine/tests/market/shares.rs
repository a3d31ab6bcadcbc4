//! Shares: where several accounts call a provider, the last eighth of a pool is for accounts without a call there.

use merit_engine::Command;
use merit_kit::{Floor, MEMORY_MB, PRICE, name, rung};
use merit_terms::{Limits, NoOffer, PoolSize};

/// Returns a market with a seller of so many slots, called by another account just now.
fn shared(slots: u32) -> Floor {
    let mut floor = Floor::new();
    floor.seller("seller", slots, PRICE);
    let (other, function) = floor.tenant("other");
    let own = (floor.buyer, floor.function);
    (floor.buyer, floor.function) = (other, function);
    let lease = floor.call().lease;
    floor.settle(lease, 100);
    (floor.buyer, floor.function) = own;
    floor
}

#[test]
fn an_account_alone_takes_the_whole_pool() {
    let mut floor = Floor::new();
    floor.seller("seller", 16, PRICE);
    assert_eq!(floor.granted(20), 16);
}

#[test]
fn an_eighth_is_left_and_at_least_one_slot() {
    for (slots, granted) in [(16, 14), (8, 7), (3, 2), (2, 1), (1, 1)] {
        let mut floor = shared(slots);
        assert_eq!((floor.granted(20), floor.lacks()), (granted, NoOffer::Room), "{slots} slots");
        if slots > 1 {
            let quote = floor.engine.quote(&floor.bid(Limits::default())).unwrap();
            assert_eq!(quote.refused[0].reason.code(), "account_share");
            (floor.buyer, floor.function) = floor.tenant("third");
            assert_eq!(floor.granted(1), 1, "another account finds room");
        }
    }
}

#[test]
fn two_accounts_together_leave_room_to_a_third() {
    let mut floor = shared(16);
    floor.granted(20);
    (floor.buyer, floor.function) = floor.tenant("accomplice");
    assert_eq!(floor.granted(20), 1, "one lease beyond the open part");
    (floor.buyer, floor.function) = floor.tenant("third");
    assert_eq!(floor.granted(20), 1);
}

#[test]
fn memory_is_left_to_others_too() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 1);
    let pool = PoolSize { memory_mb: u64::from(16 * MEMORY_MB), slots: 1_000 };
    let (provider, session) = (seller.id, seller.session);
    floor.apply(Command::StatePools { provider, session, pools: vec![pool] }).unwrap();
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    let own = (floor.buyer, floor.function);
    (floor.buyer, floor.function) = floor.tenant("other");
    let lease = floor.call().lease;
    floor.settle(lease, 100);
    (floor.buyer, floor.function) = own;
    assert_eq!(floor.granted(20), 14);
}

#[test]
fn an_hour_after_the_other_all_is_free_again() {
    let mut floor = shared(8);
    let leases: Vec<_> = (0..7).map(|_| floor.call().lease).collect();
    floor.rest(PRICE);
    floor.wait_s(1);
    floor.settle(leases[0], 100);
    assert!(floor.offered().is_some(), "a call that ends makes room for the next");
    let mut floor = shared(8);
    floor.wait_s(3_601);
    let lease = floor.call().lease;
    floor.settle(lease, 100);
    assert_eq!(floor.granted(20), 8);
    assert_eq!(floor.engine.find_provider(&name("seller")).map(|id| floor.engine.pools(id)[0].leases), Some(8));
}
