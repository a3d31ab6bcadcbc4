//! Capacity: the same memory is sold once, whatever the ladders say.

use merit_engine::{Command, FunctionSettings, NotSent};
use merit_kit::{Floor, MEMORY_MB, code, pool, rung, settings};
use merit_terms::{Limits, NoOffer, Refusal, Rung};

fn free_mb(floor: &Floor) -> Vec<u64> {
    floor.engine.book(floor.market).iter().map(|offer| offer.free_mb).collect()
}

fn is_full(floor: &mut Floor) -> bool {
    matches!(floor.try_call(Limits::default()), Err(Refusal::NoOffer { class: NoOffer::Room, .. }))
}

#[test]
fn all_rungs_of_a_pool_never_sell_more_than_it() {
    let mut floor = Floor::new();
    let other = floor.create_market("us-east/wasm");
    let seller = floor.newcomer("seller", 3);
    floor.quote(seller, vec![rung(1, 10_000_000), rung(2, 11_000_000)]).unwrap();
    floor.quote_in(other, seller, vec![rung(1, 10_000_000), rung(2, 11_000_000)]).unwrap();
    for _ in 0..3 {
        floor.call();
    }
    assert!(is_full(&mut floor));
    assert_eq!(floor.engine.pools(seller.id)[0].leased_mb, u64::from(3 * MEMORY_MB));
}

#[test]
fn a_rung_never_sells_more_than_its_own_capacity() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 8);
    let small = Rung { capacity_mb: u64::from(2 * MEMORY_MB), ..rung(1, 10_000_000) };
    floor.quote(seller, vec![small.clone(), rung(2, 20_000_000)]).unwrap();
    let prices: Vec<u64> = (0..3).map(|_| floor.call().tariff.per_gb_second.picodollars()).collect();
    assert_eq!(prices, [10_000_000, 10_000_000, 20_000_000]);
}

#[test]
fn a_replaced_ladder_keeps_running_calls_and_kept_rungs() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 8);
    let small = Rung { capacity_mb: u64::from(MEMORY_MB), ..rung(1, 10_000_000) };
    floor.quote(seller, vec![small.clone()]).unwrap();
    let grant = floor.call();
    floor.quote(seller, vec![Rung { capacity_mb: u64::from(3 * MEMORY_MB), ..small.clone() }]).unwrap();
    assert_eq!(free_mb(&floor), [u64::from(2 * MEMORY_MB)]);
    floor.settle(grant.lease, 100);
    assert_eq!(free_mb(&floor), [u64::from(3 * MEMORY_MB)]);
}

#[test]
fn leases_of_a_retired_rung_still_count_on_the_pool() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 2, 10_000_000);
    let grant = floor.call();
    floor.quote(seller, vec![rung(2, 20_000_000)]).unwrap();
    assert_eq!(free_mb(&floor), [u64::from(MEMORY_MB)]);
    floor.call();
    assert!(is_full(&mut floor));
    floor.settle(grant.lease, 100);
    assert_eq!(free_mb(&floor), [u64::from(MEMORY_MB)]);
}

#[test]
fn a_ladder_with_one_wrong_rung_changes_nothing() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 2, 10_000_000);
    let before = floor.engine.book(floor.market);
    let refusal = floor.quote(seller, vec![rung(1, 20_000_000), Rung { pool: 9, ..rung(2, 1) }]);
    assert!(matches!(refusal, Err(Refusal::Rungs { rungs }) if rungs.len() == 1 && rungs[0].0 == 2));
    assert_eq!(floor.engine.book(floor.market), before);
}

#[test]
fn a_busy_pool_shrinks_to_its_leases_until_a_heartbeat() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, 10_000_000);
    let (_running, refused) = (floor.call(), floor.call());
    floor.release(refused.lease, NotSent::Busy);
    assert!(is_full(&mut floor));
    floor.apply(Command::StatePools { provider: seller.id, session: seller.session, pools: pool(4) }).unwrap();
    assert_eq!(free_mb(&floor), [u64::from(3 * MEMORY_MB)]);
}

#[test]
fn a_pool_lowered_below_what_runs_has_nothing_free() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, 10_000_000);
    let grants = [floor.call(), floor.call()];
    floor.apply(Command::StatePools { provider: seller.id, session: seller.session, pools: pool(1) }).unwrap();
    assert_eq!(free_mb(&floor), [0]);
    floor.settle(grants[0].lease, 100);
    assert_eq!(free_mb(&floor), [0]);
    floor.settle(grants[1].lease, 100);
    assert_eq!(free_mb(&floor), [u64::from(MEMORY_MB)]);
}

#[test]
fn a_function_never_exceeds_its_max_concurrency() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, 10_000_000);
    floor.put("hello", code(), FunctionSettings { max_concurrency: Some(1), ..settings() });
    let grant = floor.call();
    let refusal = floor.try_call(Limits::default());
    assert_eq!(refusal, Err(Refusal::MaxConcurrency { running: 1, max_concurrency: 1 }));
    floor.settle(grant.lease, 100);
    floor.call();
}
