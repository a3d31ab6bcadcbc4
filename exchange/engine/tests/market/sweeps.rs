//! Sweeps: their causes, their order, and the number of commands that they take.

use merit_engine::{Command, FunctionSettings, MarketState, MarketTerms};
use merit_kit::{Floor, PRICE, Seller, code, max_price, name, pool, rung, settings};
use merit_terms::{Limits, PoolSize, Price};

fn tick(floor: &mut Floor) {
    floor.apply(Command::Tick).unwrap();
}

/// Returns a seller that offers nothing, and a bid that waits for it.
fn waiting() -> (Floor, Seller) {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    floor.rest(PRICE);
    (floor, seller)
}

#[test]
fn the_best_limit_goes_first_then_the_oldest() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let bids = [floor.rest(PRICE), floor.rest(2 * PRICE), floor.rest(PRICE)];
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    let mut matched = vec![floor.offered().unwrap().invocation];
    for _ in 0..2 {
        tick(&mut floor);
        matched.push(floor.offered().unwrap().invocation);
    }
    assert_eq!(matched, [bids[1], bids[0], bids[2]]);
}

#[test]
fn one_command_matches_one_bid_the_next_goes_on() {
    let (mut floor, seller) = waiting();
    floor.rest(PRICE);
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert!(floor.offered().is_some());
    assert_eq!(floor.engine.next_due(), Some(floor.engine.last_at()));
    tick(&mut floor);
    assert!(floor.offered().is_some());
    assert_ne!(floor.engine.next_due(), Some(floor.engine.last_at()));
}

#[test]
fn one_command_examines_at_most_sixty_four_bids() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    for _ in 0..70 {
        let picky = Limits { ignore: vec![name("seller")], ..max_price(2 * PRICE) };
        floor.try_defer(picky, 60, merit_engine::AtDeadline::Expire).unwrap();
    }
    let bid = floor.rest(PRICE);
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert!(floor.offered().is_none());
    tick(&mut floor);
    assert_eq!(floor.offered().unwrap().invocation, bid);
}

#[test]
fn a_bid_that_does_not_fit_is_skipped() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 1);
    let small = merit_engine::Code { memory_mb: 512, ..code() };
    floor.rest(2 * PRICE);
    let large = floor.function;
    floor.function = floor.put("small", small, settings());
    let fits = floor.rest(PRICE);
    floor.function = large;
    let half = PoolSize { memory_mb: 512, slots: 1 };
    floor.apply(Command::StatePools { provider: seller.id, session: seller.session, pools: vec![half] }).unwrap();
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert_eq!(floor.offered().unwrap().invocation, fits);
}

#[test]
fn a_bid_is_matched_when_capacity_frees() {
    let mut floor = Floor::new();
    floor.seller("seller", 1, PRICE);
    let running = floor.call().lease;
    let bid = floor.rest(PRICE);
    floor.settle(running, 100);
    assert_eq!(floor.offered().unwrap().invocation, bid);
}

#[test]
fn a_bid_is_matched_when_a_pool_grows() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 1, PRICE);
    floor.call();
    floor.rest(PRICE);
    floor.apply(Command::StatePools { provider: seller.id, session: seller.session, pools: pool(2) }).unwrap();
    assert!(floor.offered().is_some());
}

#[test]
fn a_bid_is_matched_when_its_market_opens() {
    let (mut floor, seller) = waiting();
    let set =
        |state| Command::SetMarket { market: seller_market(), terms: MarketTerms { state, ..MarketTerms::default() } };
    floor.apply(set(MarketState::Halted)).unwrap();
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert!(floor.offered().is_none());
    floor.apply(set(MarketState::Open)).unwrap();
    assert!(floor.offered().is_some());
}

fn seller_market() -> merit_terms::MarketId {
    merit_terms::MarketId::new(0)
}

#[test]
fn a_bid_waits_while_its_account_is_frozen() {
    let (mut floor, seller) = waiting();
    let account = floor.buyer;
    floor.apply(Command::FreezeAccount { account, frozen: true }).unwrap();
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert!(floor.offered().is_none());
    floor.apply(Command::FreezeAccount { account, frozen: false }).unwrap();
    assert!(floor.offered().is_some());
}

#[test]
fn a_bid_is_matched_when_its_broker_is_back() {
    let (mut floor, seller) = waiting();
    let session = floor.broker;
    floor.apply(Command::BrokerLost { session }).unwrap();
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert!(floor.offered().is_none());
    assert_eq!(floor.broker_logon(Some(session)).bids.len(), 1);
    assert!(floor.offered().is_some());
}

#[test]
fn a_bid_waits_for_room_in_its_functions_concurrency() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    floor.put("hello", code(), FunctionSettings { max_concurrency: Some(1), ..settings() });
    let running = floor.call().lease;
    let bid = floor.rest(PRICE);
    floor.settle(running, 100);
    assert_eq!(floor.offered().unwrap().invocation, bid);
}

#[test]
fn a_bid_keeps_the_revision_that_it_was_sent_for() {
    let (mut floor, seller) = waiting();
    floor.put("hello", merit_engine::Code { memory_mb: 128, ..code() }, settings());
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert_eq!(floor.offered().unwrap().revision, 1);
}

#[test]
fn an_offer_above_every_limit_wakes_nobody() {
    let (mut floor, seller) = waiting();
    floor.quote(seller, vec![rung(1, PRICE + 1_000)]).unwrap();
    assert!(floor.offered().is_none());
    let limits: Vec<Price> = floor.engine.resting().map(|bid| bid.limit).collect();
    assert_eq!(limits, [Price::from_picodollars(PRICE)]);
}
