//! Accounts under the operator's hand: credit, exposure, freezing, payouts and corrections.

use merit_engine::{AccountLimits, Command, Correction, CorrectionKind, LOSSES, OUTSIDE, RULES};
use merit_kit::{Floor, PRICE, money, name};
use merit_terms::{AccountId, LeaseId, Limits, NoOffer, Refusal};

fn limit(floor: &mut Floor, limits: AccountLimits) {
    floor.apply(Command::SetAccountLimits { account: floor.buyer, limits }).unwrap();
}

/// Returns a market of a buyer with funds for two calls, and sellers with room for many.
fn small() -> Floor {
    let mut floor = Floor::new();
    floor.seller("seller", 64, PRICE);
    let rest = floor.balance(floor.buyer) - 2 * i128::from(PRICE);
    floor.apply(Command::Payout { account: floor.buyer, amount: money(rest as u64) }).unwrap();
    floor
}

fn correct(from: AccountId, to: AccountId, kind: CorrectionKind, about: Option<LeaseId>) -> Command {
    let reason = "goodwill".to_owned();
    Command::Correct(Box::new(Correction { kind, from, to, amount: money(PRICE), about, reason }))
}

#[test]
fn credit_lets_the_balance_go_below_zero_by_so_much() {
    let mut floor = small();
    limit(&mut floor, AccountLimits { credit_limit: money(3 * PRICE), ..AccountLimits::default() });
    assert_eq!((floor.granted(9), floor.lacks()), (5, NoOffer::Funds));
}

#[test]
fn exposure_bounds_holds_and_concurrency_bounds_calls() {
    let mut floor = Floor::new();
    floor.seller("seller", 64, PRICE);
    limit(&mut floor, AccountLimits { exposure: Some(money(3 * PRICE)), ..AccountLimits::default() });
    assert_eq!((floor.granted(9), floor.lacks()), (3, NoOffer::Funds));
    limit(&mut floor, AccountLimits { max_concurrency: Some(4), ..AccountLimits::default() });
    assert_eq!(floor.granted(9), 1);
    let refusal = floor.try_call(Limits::default());
    assert_eq!(refusal, Err(Refusal::MaxConcurrency { running: 4, max_concurrency: 4 }));
}

#[test]
fn what_is_held_is_not_paid_out() {
    let mut floor = small();
    floor.call();
    let pay = |floor: &mut Floor, amount| floor.apply(Command::Payout { account: floor.buyer, amount: money(amount) });
    assert!(matches!(pay(&mut floor, PRICE + 1), Err(Refusal::InsufficientFunds { .. })));
    pay(&mut floor, PRICE).unwrap();
    assert_eq!(floor.balance(floor.buyer), i128::from(PRICE));
    let outside = floor.apply(Command::Payout { account: OUTSIDE, amount: money(0) });
    assert!(matches!(outside, Err(Refusal::Invalid { field, .. }) if field == "account"));
}

#[test]
fn a_frozen_account_cannot_buy_sell_or_pay_out() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 64, PRICE);
    let freeze = |floor: &mut Floor, account, frozen| {
        floor.apply(Command::FreezeAccount { account, frozen }).unwrap();
    };
    let buyer = floor.buyer;
    freeze(&mut floor, buyer, true);
    assert!(matches!(floor.try_call(Limits::default()), Err(Refusal::Frozen { .. })));
    let payout = floor.apply(Command::Payout { account: buyer, amount: money(1) });
    assert!(matches!(payout, Err(Refusal::Frozen { .. })));
    freeze(&mut floor, buyer, false);
    freeze(&mut floor, seller.account, true);
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    freeze(&mut floor, seller.account, false);
    floor.call();
}

#[test]
fn corrections_always_move_and_refunds_name_their_cause() {
    let mut floor = Floor::new();
    let (buyer, poor) = (floor.buyer, floor.account("poor", 0));
    floor.apply(correct(poor, buyer, CorrectionKind::Correction, None)).unwrap();
    assert_eq!(floor.balance(poor), -i128::from(PRICE));
    let wrong = |floor: &mut Floor, command| match floor.apply(command) {
        Err(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(wrong(&mut floor, correct(poor, buyer, CorrectionKind::Refund, None)), "about");
    assert_eq!(wrong(&mut floor, correct(poor, poor, CorrectionKind::Correction, None)), "to");
    floor.apply(correct(buyer, poor, CorrectionKind::Refund, Some(LeaseId { run: 1, sequence: 1 }))).unwrap();
    assert_eq!(floor.balance(poor), 0);
}

#[test]
fn rules_that_are_active_or_unknown_are_not_activated() {
    let mut floor = Floor::new();
    let version = RULES + 1;
    let mut activate = |version| floor.apply(Command::ActivateRules { version });
    assert_eq!(activate(version), Err(Refusal::UnknownRules { version }));
    assert!(matches!(activate(RULES), Err(Refusal::Invalid { field, .. }) if field == "version"));
    assert_eq!(floor.engine.rules(), RULES);
    assert_eq!(floor.engine.find_account("merit-losses"), Some(LOSSES));
}

#[test]
fn a_function_has_at_most_a_hundred_aliases() {
    let mut floor = Floor::new();
    let function = floor.function;
    let mut put = |number: u32| {
        let alias = name(&format!("alias-{number}"));
        floor.apply(Command::PutAlias { function, alias, revision: 1, canary: None })
    };
    assert!((0..100).all(|number| put(number).is_ok()));
    assert_eq!(put(100), Err(Refusal::OverLimit { limit: "aliases of a function", most: 100 }));
    assert!(put(7).is_ok());
}
