//! Claims: the usage that a provider claims counts where its broker reports nothing.

use merit_engine::{Adapter, Code, Command, Event, Logon, Settle};
use merit_kit::{CALLS_PER_GB_SECOND, Floor, PRICE, Seller, code, logon, name, pool, ran, rung, settings, settle};
use merit_terms::{Execution, LeaseId, Refusal, Usage};

const COST: i128 = (PRICE / CALLS_PER_GB_SECOND) as i128;
const SETTLED_BY_S: u64 = 606;

fn claim(floor: &mut Floor, lease: LeaseId, usage: Usage) -> Result<merit_engine::Reply, Refusal> {
    floor.apply(Command::Claim { lease, usage })
}

/// Returns the seller's balance once its claim of a lease that ended like this was paid.
fn paid(ended: Option<Execution>, claimed: Usage) -> i128 {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    if let Some(execution) = ended {
        floor.end(lease, execution, 100).unwrap();
    }
    claim(&mut floor, lease, claimed).unwrap();
    floor.wait_s(SETTLED_BY_S - 1);
    assert_eq!(floor.balance(seller.account), 0, "the broker may still settle");
    floor.wait_s(1);
    assert!(floor.events.iter().any(|event| matches!(event, Event::Settled { .. })));
    assert_eq!(floor.held(floor.buyer), 0);
    floor.balance(seller.account)
}

#[test]
fn a_claim_is_paid_for_unknown_answers_and_unsettled_leases() {
    assert_eq!(paid(Some(Execution::Unknown), ran(100)), COST);
    assert_eq!(paid(None, ran(100)), COST);
}

#[test]
fn a_claim_of_nothing_ends_a_lost_call_unpaid() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 1, PRICE);
    let lease = floor.call().lease;
    let lost = Settle { execution: Execution::Unknown, given_up: true, ..settle(lease, 0) };
    floor.apply(Command::Settle(lost)).unwrap();
    assert_eq!(floor.granted(1), 0, "its slot stays taken");
    claim(&mut floor, lease, Usage::default()).unwrap();
    assert_eq!((floor.balance(seller.account), floor.held(floor.buyer)), (0, 0));
    assert_eq!(floor.granted(1), 1, "nothing ran there, and the slot is free at once");
}

#[test]
fn a_claim_is_never_paid_beyond_the_timeout() {
    assert_eq!(paid(None, ran(60_000)), i128::from(PRICE));
}

#[test]
fn the_first_claim_stands() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    claim(&mut floor, lease, ran(100)).unwrap();
    claim(&mut floor, lease, ran(1_000)).unwrap();
    assert!(floor.events.is_empty());
    floor.wait_s(SETTLED_BY_S);
    assert_eq!(floor.balance(seller.account), COST);
}

/// Returns the cost of a settle after a claim of 100 ms, by the broker's report and observed time.
fn settled_after_claim(reported: Option<Usage>, observed_ms: u64) -> i128 {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    claim(&mut floor, lease, ran(100)).unwrap();
    let settle = Settle { reported, observed_us: observed_ms * 1_000, ..settle(lease, 0) };
    match floor.apply(Command::Settle(settle)) {
        Ok(merit_engine::Reply::Settled(settlement)) => settlement.cost.picodollars().into(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_settle_counts_the_claim_only_without_a_report() {
    assert_eq!(settled_after_claim(None, 500), COST);
    assert_eq!(settled_after_claim(None, 50), COST / 2, "the least of both");
    assert_eq!(settled_after_claim(Some(ran(200)), 500), 2 * COST);
}

#[test]
fn what_ended_or_was_only_offered_cannot_be_claimed() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    floor.settle(lease, 100);
    assert_eq!(claim(&mut floor, lease, ran(100)), Err(Refusal::Closed));
    floor.quote(seller, Vec::new()).unwrap();
    floor.rest(PRICE);
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    let offered = floor.offered().unwrap().lease;
    assert_eq!(claim(&mut floor, offered, ran(100)), Err(Refusal::Closed));
}

#[test]
fn a_paid_claim_is_a_trade_and_teaches_nothing() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    claim(&mut floor, lease, ran(1_000)).unwrap();
    floor.wait_s(SETTLED_BY_S);
    let market = floor.engine.market(floor.market).unwrap();
    assert_eq!((market.trades, market.last_price.map(|price| price.picodollars())), (1, Some(PRICE)));
    let quote = floor.engine.quote(&floor.bid(merit_terms::Limits::default())).unwrap();
    assert_eq!(quote.offers[0].wall_us, 100_000, "as before anybody ran it");
}

/// Gives an attempt up that broke after so long, with or without the claim before.
fn gave_up(floor: &mut Floor, lease: LeaseId, broke_ms: u64) {
    let broke = Settle { execution: Execution::Unknown, observed_us: broke_ms * 1_000, ..settle(lease, 0) };
    floor.apply(Command::Settle(Settle { given_up: true, ..broke })).unwrap();
}

#[test]
fn a_claim_of_a_cancelled_call_is_paid_at_once() {
    for claim_first in [true, false] {
        let mut floor = Floor::new();
        let seller = floor.seller("seller", 4, PRICE);
        let lease = floor.call().lease;
        if claim_first {
            claim(&mut floor, lease, ran(100)).unwrap();
            gave_up(&mut floor, lease, 100);
        } else {
            gave_up(&mut floor, lease, 100);
            claim(&mut floor, lease, ran(100)).unwrap();
        }
        assert_eq!((floor.balance(seller.account), floor.held(floor.buyer)), (COST, 0));
        assert_eq!(claim(&mut floor, lease, ran(100)), Err(Refusal::Closed));
    }
}

#[test]
fn a_claim_is_bounded_by_what_the_broker_saw() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    gave_up(&mut floor, lease, 10);
    claim(&mut floor, lease, ran(1_000)).unwrap();
    assert_eq!(floor.balance(seller.account), COST / 10);
}

#[test]
fn a_claim_waits_while_another_attempt_may_follow() {
    let mut floor = Floor::new();
    let first = floor.seller("first", 4, PRICE);
    floor.seller("second", 4, PRICE * 2);
    let lease = floor.call();
    floor.end(lease.lease, Execution::Unknown, 100).unwrap();
    claim(&mut floor, lease.lease, ran(100)).unwrap();
    assert_eq!(floor.balance(first.account), 0);
    let again = floor.call_again(&lease, merit_terms::Limits::default()).unwrap();
    floor.settle(again.lease, 100);
    assert_eq!((floor.balance(first.account), floor.held(floor.buyer)), (COST, 0), "the answer is paid");
}

#[test]
fn a_broker_may_give_up_later() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    floor.end(lease, Execution::Unknown, 100).unwrap();
    claim(&mut floor, lease, ran(100)).unwrap();
    gave_up(&mut floor, lease, 0);
    assert_eq!((floor.balance(seller.account), floor.held(floor.buyer)), (COST, 0));
}

#[test]
fn a_function_server_cannot_claim_so_nothing_is_held() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("server", 4);
    floor.logon_with(Logon { adapter: Adapter::Http, ..logon(seller.id, pool(4)) }).unwrap();
    let code = Code { deployments: [(name("server"), "/".to_owned())].into(), ..code() };
    floor.function = floor.put("deployed", code, settings());
    let session = floor.engine.provider(seller.id).unwrap().session;
    floor.quote(Seller { session, ..seller }, vec![rung(1, PRICE)]).unwrap();
    let lease = floor.call().lease;
    floor.end(lease, Execution::Unknown, 100).unwrap();
    assert_eq!((floor.held(floor.buyer), floor.engine.open_leases().count()), (0, 1), "it may still run");
    floor.wait_s(6);
    assert_eq!(floor.engine.open_leases().count(), 0);
}

#[test]
fn a_providers_own_failure_earns_no_more_than_its_quote() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    floor.run_at("seller", 100);
    let before = floor.balance(seller.account);
    let lease = floor.call().lease;
    let broke = Settle { execution: Execution::Unknown, observed_us: 1_000_000, fault: true, ..settle(lease, 0) };
    floor.apply(Command::Settle(Settle { given_up: true, ..broke })).unwrap();
    claim(&mut floor, lease, ran(1_000)).unwrap();
    let earned = floor.balance(seller.account) - before;
    assert!((COST * 95 / 100..=COST * 105 / 100).contains(&earned), "{earned}");
}
