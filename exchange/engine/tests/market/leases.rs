//! The ends of a lease: settled once, released, unknown, or forgotten at its two deadlines.

use merit_engine::{Command, Ending, Event};
use merit_kit::{CALLS_PER_GB_SECOND, Floor, PRICE, TIMEOUT_MS};
use merit_terms::{Execution, Refusal};

const COST: u64 = PRICE / CALLS_PER_GB_SECOND;
const HOLD: u128 = PRICE as u128;
const CAPACITY_RETURNS_MS: u64 = TIMEOUT_MS as u64 + 5_000;
const HOLD_CLOSES_MS: u64 = 600_000;

fn leases_in_pool(floor: &Floor) -> u32 {
    floor.engine.providers().map(|(id, _)| floor.engine.pools(id)[0].leases).sum()
}

#[test]
fn a_settle_is_idempotent_by_lease() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    assert_eq!(floor.settle(lease, 100).cost.picodollars(), COST);
    let (sequence, digest) = (floor.engine.sequence(), floor.engine.digest());
    assert_eq!(floor.end(lease, Execution::Executed, 100), Err(Refusal::Closed));
    assert_eq!(floor.balance(seller.account), i128::from(COST));
    assert_eq!((floor.engine.sequence(), floor.engine.digest()), (sequence, digest));
}

#[test]
fn an_unsettled_lease_returns_capacity_then_its_hold() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    floor.wait_ms(CAPACITY_RETURNS_MS - 1);
    assert_eq!((leases_in_pool(&floor), floor.held(floor.buyer)), (1, HOLD));
    floor.wait_ms(1);
    assert_eq!((leases_in_pool(&floor), floor.held(floor.buyer)), (0, HOLD));
    floor.wait_ms(HOLD_CLOSES_MS - 1);
    assert_eq!(floor.held(floor.buyer), HOLD);
    floor.wait_ms(1);
    assert_eq!(floor.held(floor.buyer), 0);
    assert!(matches!(&floor.events[..], [Event::Ended { how: Ending::Expired, .. }]));
    assert_eq!(floor.end(lease, Execution::Executed, 100), Err(Refusal::Closed));
}

#[test]
fn a_late_settle_is_charged_and_returns_nothing_twice() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let (late, running) = (floor.call().lease, 1);
    floor.wait_ms(CAPACITY_RETURNS_MS + 60_000);
    floor.call();
    assert_eq!(floor.settle(late, 100).cost.picodollars(), COST);
    assert_eq!((leases_in_pool(&floor), floor.held(floor.buyer)), (running, HOLD));
    assert_eq!(floor.balance(seller.account), i128::from(COST));
}

#[test]
fn what_was_not_sent_costs_nothing_and_returns_at_once() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    floor.end(lease, Execution::NotSent, 100).unwrap();
    assert_eq!((leases_in_pool(&floor), floor.held(floor.buyer)), (0, 0));
    assert_eq!(floor.balance(seller.account), 0);
}

/// Returns the buyer's hold after an unknown end, after the capacity returned, and when the time for claims is over.
fn held_after_unknown() -> [u128; 3] {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    floor.end(lease, Execution::Unknown, 100).unwrap();
    let at_once = floor.held(floor.buyer);
    assert_eq!(leases_in_pool(&floor), 1);
    assert_eq!(floor.end(lease, Execution::Executed, 100), Err(Refusal::Closed));
    floor.wait_ms(CAPACITY_RETURNS_MS);
    assert_eq!(leases_in_pool(&floor), 0);
    let without_capacity = floor.held(floor.buyer);
    floor.wait_ms(HOLD_CLOSES_MS);
    assert_eq!((floor.engine.open_leases().count(), floor.balance(seller.account)), (0, 0));
    [at_once, without_capacity, floor.held(floor.buyer)]
}

#[test]
fn an_unknown_end_keeps_capacity_and_hold_for_a_while() {
    assert_eq!(held_after_unknown(), [HOLD, HOLD, 0]);
}

#[test]
fn at_most_sixty_four_expiries_run_before_one_command() {
    let mut floor = Floor::new();
    floor.seller("seller", 100, 0);
    for _ in 0..100 {
        floor.call();
    }
    floor.wait_ms(CAPACITY_RETURNS_MS);
    assert_eq!(leases_in_pool(&floor), 36);
    floor.apply(Command::Tick).unwrap();
    assert_eq!(leases_in_pool(&floor), 0);
}
