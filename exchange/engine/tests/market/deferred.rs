//! Deferred bids: they rest below the market, and are matched when an offer meets their limit.

use merit_engine::{AtDeadline, Bid, BidEnding, Command, Deferred, Ending, Event, LeaseState, NotSent, Reply};
use merit_kit::{CALLS_PER_GB_SECOND, Floor, PRICE, Seller, max_cost, max_price, rung};
use merit_terms::{LeaseId, Limits, NoOffer, Refusal};

const BELOW: u64 = PRICE / 2;
const COST_BELOW: u64 = BELOW / CALLS_PER_GB_SECOND;

fn resting(floor: &Floor) -> usize {
    floor.engine.resting().count()
}

fn bids_gone(floor: &Floor) -> Vec<BidEnding> {
    let endings = floor.events.iter().filter_map(|event| match event {
        Event::BidGone { how, .. } => Some(*how),
        _ => None,
    });
    endings.collect()
}

#[test]
fn a_resting_bid_matches_in_the_command_that_crosses_it() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let bid = floor.rest(BELOW);
    floor.quote(seller, vec![rung(1, BELOW - 1_000)]).unwrap();
    let offered = floor.offered().unwrap();
    assert_eq!((offered.invocation, offered.price.picodollars()), (bid, BELOW - 1_000));
    floor.apply(Command::TakeUp { lease: offered.lease }).unwrap();
    assert_eq!(floor.settle(offered.lease, 100).cost.picodollars(), COST_BELOW - 100, "at that offer's tariff");
    assert_eq!(resting(&floor), 0);
}

#[test]
fn a_bid_that_the_market_meets_is_leased_at_once() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    let reply = floor.try_defer(max_price(PRICE), 60, AtDeadline::Expire);
    assert!(matches!(reply, Ok(Reply::Granted(grant)) if grant.terms.price.picodollars() == PRICE));
    assert_eq!(floor.engine.open_leases().next().unwrap().state, LeaseState::Running);
}

#[test]
fn a_resting_bid_holds_its_limit_a_match_less() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    floor.rest(PRICE);
    assert_eq!(floor.held(floor.buyer), u128::from(PRICE), "the whole timeout at its limit");
    floor.quote(seller, vec![rung(1, BELOW)]).unwrap();
    assert_eq!(floor.held(floor.buyer), u128::from(PRICE));
    let lease = floor.offered().unwrap().lease;
    floor.apply(Command::TakeUp { lease }).unwrap();
    assert_eq!(floor.held(floor.buyer), u128::from(BELOW));
}

#[test]
fn its_max_cost_is_held_instead_and_cuts_the_timeout() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let limits = Limits { max_cost: max_cost(BELOW).max_cost, ..max_price(PRICE) };
    floor.try_defer(limits, 60, AtDeadline::Expire).unwrap();
    assert_eq!(floor.held(floor.buyer), u128::from(BELOW));
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert_eq!(floor.offered().unwrap().timeout_ms, merit_kit::TIMEOUT_MS / 2);
}

#[test]
fn a_bid_beyond_the_funds_is_refused() {
    let mut floor = Floor::new();
    let refusal = floor.try_defer(max_price(1_000_000_000_001), 60, AtDeadline::Expire);
    assert!(matches!(refusal, Err(Refusal::NoOffer { class: NoOffer::Funds, .. })));
    assert!(floor.try_defer(max_price(1_000_000_000_000), 60, AtDeadline::Expire).is_ok());
}

#[test]
fn a_deferred_bid_needs_a_request_limit_and_deadline() {
    let mut floor = Floor::new();
    let field = |reply: Result<Reply, Refusal>| match reply {
        Err(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(floor.try_defer(Limits::default(), 60, AtDeadline::Expire)), "max_price");
    for seconds in [0, 31 * 86_400 + 1] {
        assert_eq!(field(floor.try_defer(max_price(PRICE), seconds, AtDeadline::Expire)), "deadline");
    }
    let bid = floor.bid(max_price(PRICE));
    let deadline = floor.now.after_millis(1);
    let deferred = Deferred { bid, deadline, then: AtDeadline::Expire };
    assert_eq!(field(floor.apply(Command::Defer(Box::new(deferred)))), "request");
}

/// Matches a bid of a minute and lets a second pass in which no broker takes its lease up. Returns bid and lease.
fn missed(floor: &mut Floor, meanwhile: impl Fn(&mut Floor, Seller)) -> (LeaseId, LeaseId) {
    let bid = floor.rest(PRICE);
    let seller = floor.seller("seller", 4, PRICE);
    let first = floor.offered().unwrap().lease;
    meanwhile(floor, seller);
    floor.wait_ms(999);
    assert_eq!((resting(floor), floor.engine.open_leases().count()), (0, 1));
    floor.wait_ms(1);
    let ended = |event: &Event| matches!(event, Event::Ended { lease, how: Ending::NotTakenUp } if lease.id == first);
    assert!(floor.events.iter().any(ended));
    (bid, first)
}

#[test]
fn a_match_not_taken_up_in_a_second_rests_again() {
    let mut floor = Floor::new();
    let cancel = |floor: &mut Floor, Seller { id: provider, session, .. }| {
        floor.apply(Command::CancelAll { provider, session }).unwrap();
    };
    let (bid, first) = missed(&mut floor, cancel);
    assert_eq!(floor.engine.resting().map(|resting| resting.id).collect::<Vec<_>>(), [bid]);
    assert_eq!(floor.apply(Command::TakeUp { lease: first }), Err(Refusal::Closed));
    assert_eq!(floor.held(floor.buyer), u128::from(PRICE));
}

#[test]
fn a_match_not_taken_up_is_offered_again_while_supplied() {
    let mut floor = Floor::new();
    let (bid, first) = missed(&mut floor, |_, _| ());
    let second = floor.offered().unwrap();
    assert_eq!((second.invocation, floor.engine.open_leases().count()), (bid, 1));
    assert_ne!(second.lease, first);
    floor.apply(Command::TakeUp { lease: second.lease }).unwrap();
}

#[test]
fn a_bid_that_nobody_takes_up_before_its_deadline_expires() {
    let mut floor = Floor::new();
    floor.try_defer(max_price(PRICE), 1, AtDeadline::Expire).unwrap();
    floor.wait_ms(500);
    floor.seller("seller", 4, PRICE);
    assert!(floor.offered().is_some());
    floor.wait_s(1);
    assert_eq!((bids_gone(&floor), resting(&floor), floor.held(floor.buyer)), (vec![BidEnding::Expired], 0, 0));
}

#[test]
fn a_repeated_bid_is_answered_with_its_bid_or_lease() {
    let mut floor = Floor::new();
    let bid = Bid { request: Some(floor.request()), ..floor.bid(max_price(PRICE)) };
    let deadline = floor.now.after_millis(60_000);
    let again = Command::Defer(Box::new(Deferred { bid, deadline, then: AtDeadline::Expire }));
    let Ok(Reply::Resting(id)) = floor.apply(again.clone()) else { panic!("nobody sells") };
    assert_eq!(floor.apply(again.clone()), Ok(Reply::Resting(id)));
    assert_eq!(resting(&floor), 1);
    floor.seller("seller", 4, PRICE);
    let lease = floor.offered().unwrap().lease;
    assert_eq!(floor.apply(again.clone()), Ok(Reply::Resting(id)));
    floor.apply(Command::TakeUp { lease }).unwrap();
    let Ok(Reply::Granted(grant)) = floor.apply(again) else { panic!("it has a lease") };
    assert_eq!((grant.terms.lease, floor.engine.open_leases().count()), (lease, 1));
}

#[test]
fn at_its_deadline_a_bid_expires_or_takes_any_price() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    floor.try_defer(max_price(BELOW), 5, AtDeadline::Expire).unwrap();
    floor.wait_s(5);
    assert_eq!((bids_gone(&floor), floor.held(floor.buyer)), (vec![BidEnding::Expired], 0));
    floor.try_defer(max_price(BELOW), 5, AtDeadline::Market).unwrap();
    floor.wait_s(5);
    let offered = floor.offered().unwrap();
    assert_eq!((offered.price.picodollars(), offered.timeout_ms), (PRICE, merit_kit::TIMEOUT_MS / 2));
}

#[test]
fn at_its_deadline_a_bid_that_nobody_serves_expires() {
    let mut floor = Floor::new();
    floor.try_defer(max_price(BELOW), 5, AtDeadline::Market).unwrap();
    floor.wait_s(5);
    assert_eq!((bids_gone(&floor), floor.held(floor.buyer)), (vec![BidEnding::Expired], 0));
}

#[test]
fn its_account_cancels_a_bid_and_gets_its_hold_back() {
    let mut floor = Floor::new();
    let bid = floor.rest(PRICE);
    let stranger = floor.account("stranger", 0);
    assert_eq!(floor.apply(Command::CancelBid { account: stranger, bid }), Err(Refusal::Closed));
    let cancel = Command::CancelBid { account: floor.buyer, bid };
    floor.apply(cancel.clone()).unwrap();
    assert_eq!((resting(&floor), floor.held(floor.buyer)), (0, 0));
    assert_eq!(floor.apply(cancel), Err(Refusal::Closed));
}

#[test]
fn a_released_match_does_not_rest_again() {
    let mut floor = Floor::new();
    floor.rest(PRICE);
    floor.seller("seller", 4, PRICE);
    let lease = floor.offered().unwrap().lease;
    floor.release(lease, NotSent::Withdrawn);
    assert_eq!((resting(&floor), floor.held(floor.buyer)), (0, 0));
}
