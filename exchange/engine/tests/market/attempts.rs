//! The attempts of one invocation: they share one hold, and the answered one is paid first.

use merit_engine::{Bid, Command, LeaseTerms, NotSent};
use merit_kit::{CALLS_PER_GB_SECOND, Floor, PRICE, code, max_cost, money, ran, settings};
use merit_terms::{Execution, Limits, NoOffer, Refusal};

const COST: u64 = PRICE / CALLS_PER_GB_SECOND;
/// Time from a match until the claim of an unsettled lease is paid, in seconds.
const CLAIMED_S: u64 = 606;

/// Makes a first attempt at the cheap seller that nobody answers.
fn unanswered(floor: &mut Floor) -> LeaseTerms {
    floor.seller("cheap", 8, PRICE);
    let first = floor.call();
    floor.end(first.lease, Execution::Unknown, 100).unwrap();
    first
}

fn hold_of(floor: &Floor, terms: &LeaseTerms) -> u64 {
    floor.engine.open_leases().find(|lease| lease.id == terms.lease).unwrap().hold.picodollars()
}

#[test]
fn a_further_attempt_raises_the_hold_to_its_worst_case() {
    let mut floor = Floor::new();
    let first = unanswered(&mut floor);
    floor.seller("dear", 8, 3 * PRICE);
    let second = floor.call_again(&first, Limits::default()).unwrap();
    assert_eq!(second.invocation, first.invocation);
    assert_eq!((hold_of(&floor, &first), hold_of(&floor, &second)), (0, 3 * PRICE));
    assert_eq!(floor.held(floor.buyer), u128::from(3 * PRICE));
}

#[test]
fn a_cheaper_attempt_keeps_the_hold_for_earlier_claims() {
    let mut floor = Floor::new();
    let first = unanswered(&mut floor);
    floor.seller("cheaper", 8, PRICE / 2);
    let second = floor.call_again(&first, Limits::default()).unwrap();
    assert_eq!((hold_of(&floor, &first), hold_of(&floor, &second)), (0, PRICE));
    floor.settle(second.lease, 100);
    assert_eq!(hold_of(&floor, &first), PRICE - COST / 2, "what the answer left");
}

#[test]
fn a_further_attempt_needs_funds_only_for_the_difference() {
    let mut floor = Floor::new();
    let first = unanswered(&mut floor);
    floor.seller("dear", 8, 3 * PRICE);
    let rest = floor.balance(floor.buyer) - 3 * i128::from(PRICE);
    let payout = |amount| Command::Payout { account: first.account, amount: money(amount) };
    floor.apply(payout(rest as u64)).unwrap();
    let second = floor.call_again(&first, Limits::default()).unwrap();
    floor.release(second.lease, NotSent::Withdrawn);
    assert_eq!(hold_of(&floor, &first), PRICE, "the pot is back at what it may claim");
    floor.apply(payout(1)).unwrap();
    let refusal = floor.call_again(&first, Limits::default());
    assert!(matches!(refusal, Err(Refusal::NoOffer { class: NoOffer::Funds, .. })));
}

#[test]
fn the_answered_attempt_is_paid_first_then_a_claim() {
    let mut floor = Floor::new();
    floor.seller("cheap", 8, PRICE);
    floor.seller("dear", 8, 2 * PRICE);
    let limits = || max_cost(2 * PRICE);
    let first = floor.try_call(limits()).unwrap();
    floor.end(first.lease, Execution::Unknown, 1_000).unwrap();
    floor.apply(Command::Claim { lease: first.lease, usage: ran(1_000) }).unwrap();
    let second = floor.call_again(&first, limits()).unwrap();
    let had = floor.balance(floor.buyer);
    assert_eq!(floor.settle(second.lease, 750).cost, money(2 * PRICE * 3 / 4));
    assert_eq!(floor.balance(floor.buyer), had - 2 * i128::from(PRICE), "never more than the max cost");
    assert_eq!(floor.held(floor.buyer), 0);
}

#[test]
fn a_claim_waits_until_the_answer_may_still_come() {
    let mut floor = Floor::new();
    let first = unanswered(&mut floor);
    floor.apply(Command::Claim { lease: first.lease, usage: ran(1_000) }).unwrap();
    let seller = floor.seller("other", 8, PRICE);
    floor.wait_s(300);
    let second = floor.call_again(&first, Limits::default()).unwrap();
    floor.wait_s(CLAIMED_S - 300);
    assert_eq!(floor.engine.open_leases().count(), 2, "the second may yet be settled");
    floor.settle(second.lease, 1_000);
    assert_eq!((floor.engine.open_leases().count(), floor.balance(seller.account)), (0, i128::from(PRICE)));
    assert_eq!(floor.held(floor.buyer), 0);
}

#[test]
fn a_claim_is_paid_when_the_awaited_attempt_expires() {
    let mut floor = Floor::new();
    let first = unanswered(&mut floor);
    floor.apply(Command::Claim { lease: first.lease, usage: ran(1_000) }).unwrap();
    floor.seller("other", 8, PRICE);
    floor.call_again(&first, Limits::default()).unwrap();
    let had = floor.balance(floor.buyer);
    floor.wait_s(CLAIMED_S);
    floor.wait_s(1);
    assert_eq!((floor.engine.open_leases().count(), floor.held(floor.buyer)), (0, 0));
    assert_eq!(floor.balance(floor.buyer), had - i128::from(COST + COST / 100), "101 ms, as the broker saw");
}

#[test]
fn attempts_share_holds_only_within_one_function_of_one_account() {
    let mut floor = Floor::new();
    let first = unanswered(&mut floor);
    let other = floor.put("other", code(), settings());
    let (account, function) = floor.tenant("tenant");
    for (account, function) in [(floor.buyer, other), (account, function)] {
        let bid = Bid { account, function, invocation: Some(first.invocation), ..floor.bid(Limits::default()) };
        let second = floor.acquire(bid).unwrap().terms;
        assert_eq!((hold_of(&floor, &first), hold_of(&floor, &second)), (PRICE, PRICE));
        floor.release(second.lease, NotSent::Withdrawn);
        assert_eq!(hold_of(&floor, &first), PRICE);
    }
}
