//! Leases that a crash forgot: settled once, on the terms of their token.

use merit_engine::{Command, Forgotten, LOSSES, LeaseTerms, NotSent, Reply, Settle};
use merit_kit::{CALLS_PER_GB_SECOND, Floor, PRICE, Seller, money, settle};
use merit_terms::{Execution, LeaseId, Refusal};

const COST: u64 = PRICE / CALLS_PER_GB_SECOND;

/// Returns a market in its second run, whose journal lacks this grant of the first run.
fn crashed() -> (Floor, Seller, LeaseTerms) {
    let mut floor = Floor::new();
    floor.apply(Command::Start { run: 1 }).unwrap();
    let seller = floor.seller("seller", 4, PRICE);
    let granted = floor.call();
    floor.settle(granted.lease, 100);
    floor.apply(Command::Start { run: 2 }).unwrap();
    let lease = LeaseId { run: 1, sequence: floor.engine.sequence() };
    (floor, seller, LeaseTerms { lease, invocation: lease, ..granted })
}

fn by_token(floor: &mut Floor, terms: &LeaseTerms, settle: Settle) -> Result<Reply, Refusal> {
    floor.apply(Command::SettleForgotten(Box::new(Forgotten { terms: terms.clone(), settle })))
}

fn losses(floor: &Floor) -> i128 {
    floor.balance(LOSSES)
}

#[test]
fn a_forgotten_lease_is_settled_once_by_its_token() {
    let (mut floor, seller, terms) = crashed();
    let before = floor.balance(seller.account);
    assert_eq!(floor.end(terms.lease, Execution::Executed, 100), Err(Refusal::Forgotten));
    let reply = by_token(&mut floor, &terms, settle(terms.lease, 100));
    assert!(matches!(reply, Ok(Reply::Settled(settlement)) if settlement.cost == money(COST)));
    assert_eq!(floor.balance(seller.account), before + i128::from(COST));
    assert_eq!(by_token(&mut floor, &terms, settle(terms.lease, 100)), Err(Refusal::Closed));
    assert_eq!(floor.end(terms.lease, Execution::Executed, 100), Err(Refusal::Closed));
}

#[test]
fn what_the_buyer_has_no_more_the_operator_pays() {
    let (mut floor, seller, terms) = crashed();
    let rest = floor.balance(floor.buyer) - i128::from(COST / 4);
    floor.apply(Command::Payout { account: floor.buyer, amount: money(rest as u64) }).unwrap();
    let before = floor.balance(seller.account);
    by_token(&mut floor, &terms, settle(terms.lease, 100)).unwrap();
    assert_eq!(floor.balance(seller.account), before + i128::from(COST));
    assert_eq!((floor.balance(floor.buyer), losses(&floor)), (0, -i128::from(COST - COST / 4)));
}

#[test]
fn a_budget_that_is_spent_is_not_overrun_by_it() {
    let (mut floor, _, terms) = crashed();
    let budgets = vec![merit_terms::Budget { period: merit_terms::Period::Day, amount: money(COST + COST / 2) }];
    let settings = merit_engine::FunctionSettings { budgets, ..merit_kit::settings() };
    floor.put("hello", merit_kit::code(), settings);
    by_token(&mut floor, &terms, settle(terms.lease, 100)).unwrap();
    assert_eq!(losses(&floor), -i128::from(COST - COST / 2));
}

#[test]
fn what_was_not_executed_costs_nothing_and_is_over() {
    for execution in [Execution::NotSent, Execution::Unknown] {
        let (mut floor, seller, terms) = crashed();
        let before = floor.balance(seller.account);
        let settle = || Settle { execution, ..settle(terms.lease, 100) };
        assert_eq!(by_token(&mut floor, &terms, settle()), Ok(Reply::Done));
        assert_eq!(floor.balance(seller.account), before);
        assert_eq!(by_token(&mut floor, &terms, settle()), Err(Refusal::Closed));
    }
}

#[test]
fn what_the_journal_knows_was_not_forgotten() {
    let (mut floor, _, terms) = crashed();
    let known = LeaseTerms { lease: LeaseId { sequence: terms.lease.sequence - 1, ..terms.lease }, ..terms };
    assert_eq!(by_token(&mut floor, &known, settle(known.lease, 100)), Err(Refusal::Closed));
    let now = LeaseTerms { lease: LeaseId { run: 2, ..terms.lease }, ..terms };
    assert_eq!(by_token(&mut floor, &now, settle(now.lease, 100)), Err(Refusal::Closed));
    let release = Command::Release { lease: terms.lease, why: NotSent::Withdrawn };
    assert_eq!(floor.apply(release), Err(Refusal::Forgotten));
}

#[test]
fn after_its_time_it_is_closed() {
    let (mut floor, _, terms) = crashed();
    floor.wait_s(606);
    assert_eq!(by_token(&mut floor, &terms, settle(terms.lease, 100)), Err(Refusal::Closed));
}
