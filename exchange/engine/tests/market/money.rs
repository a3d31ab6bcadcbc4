//! Money: holds, payments, fees, and the refusals for want of it.

use merit_engine::{FEES, ProviderKind};
use merit_kit::{CALLS_PER_GB_SECOND, Floor, PRICE, Seller, TIMEOUT_MS, max_cost, money, name, pool, rung};
use merit_terms::{AccountId, Limits, NoOffer, Refusal, Rung};

const COST: u64 = PRICE / CALLS_PER_GB_SECOND;

fn class(refusal: Result<merit_engine::LeaseTerms, Refusal>) -> NoOffer {
    match refusal {
        Err(Refusal::NoOffer { class, .. }) => class,
        other => panic!("{other:?}"),
    }
}

/// Logs on an own provider of `account`, which serves it alone.
fn own_provider(floor: &mut Floor, account: AccountId) -> Seller {
    let id = floor.provider("own-cluster", account, ProviderKind::Own);
    let seller = Seller { id, account, session: floor.logon(id, pool(4)) };
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    seller
}

#[test]
fn matches_hold_the_worst_case_settlements_pay_the_cost() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let had = floor.balance(floor.buyer);
    let lease = floor.call().lease;
    assert_eq!((floor.held(floor.buyer), floor.balance(floor.buyer)), (u128::from(PRICE), had));
    floor.settle(lease, 100);
    assert_eq!((floor.held(floor.buyer), floor.balance(floor.buyer)), (0, had - i128::from(COST)));
    assert_eq!(floor.balance(seller.account), i128::from(COST));
}

#[test]
fn a_settlement_never_charges_more_than_the_timeout() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    let settlement = floor.settle(lease, 60_000);
    assert_eq!((settlement.billed_ms, settlement.cost), (u64::from(TIMEOUT_MS), money(PRICE)));
}

#[test]
fn the_fee_is_taken_from_the_sellers_revenue() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    floor.apply(merit_engine::Command::SetFee { basis_points: 250 }).unwrap();
    let had = floor.balance(floor.buyer);
    let lease = floor.call().lease;
    let settlement = floor.settle(lease, 100);
    let fee = COST * 250 / 10_000;
    assert_eq!((settlement.cost, settlement.fee), (money(COST), money(fee)));
    assert_eq!(floor.balance(floor.buyer), had - i128::from(COST));
    assert_eq!(floor.balance(seller.account), i128::from(COST - fee));
    assert_eq!(floor.balance(FEES), i128::from(fee));
}

#[test]
fn own_providers_move_no_money_and_make_no_last_price() {
    let mut floor = Floor::new();
    let buyer = floor.account("poor", 0);
    floor.buyer = buyer;
    floor.function = floor.put("mine", merit_kit::code(), merit_kit::settings());
    own_provider(&mut floor, buyer);
    let lease = floor.call().lease;
    assert_eq!(floor.held(buyer), 0);
    let settlement = floor.settle(lease, 100);
    assert_eq!((settlement.cost, settlement.fee), (money(COST), money(0)));
    assert_eq!(floor.balance(buyer), 0);
    assert_eq!(floor.engine.market(floor.market).unwrap().last_price, None);
}

#[test]
fn an_own_provider_serves_nobody_else() {
    let mut floor = Floor::new();
    let other = floor.account("other", 0);
    own_provider(&mut floor, other);
    assert_eq!(class(floor.try_call(Limits::default())), NoOffer::Eligible);
}

#[test]
fn the_last_price_is_of_the_latest_trade_with_cost() {
    let mut floor = Floor::new();
    let last = |floor: &Floor| floor.engine.market(floor.market).unwrap().last_price.map(|price| price.picodollars());
    floor.seller("seller", 4, PRICE);
    floor.run_at("seller", 100);
    assert_eq!(last(&floor), Some(PRICE));
    floor.seller("free", 4, 0);
    floor.run_at("free", 100);
    assert_eq!(last(&floor), Some(PRICE));
}

#[test]
fn funds_are_named_before_room_and_room_before_eligibility() {
    let mut floor = Floor::new();
    assert_eq!(class(floor.try_call(Limits::default())), NoOffer::Eligible);
    floor.seller("seller", 1, PRICE);
    assert_eq!(class(floor.try_call(Limits { ignore: vec![name("seller")], ..Limits::default() })), NoOffer::Eligible);
    floor.call();
    assert_eq!(class(floor.try_call(Limits::default())), NoOffer::Room);
    floor.seller("too-dear", 1, 900_000_000_000);
    floor.call_at("too-dear");
    assert_eq!(class(floor.try_call(Limits::default())), NoOffer::Room, "it lacks room as well as funds");
    floor.seller("too-dear-too", 1, 900_000_000_000);
    assert_eq!(class(floor.try_call(Limits::default())), NoOffer::Funds);
}

#[test]
fn an_account_never_holds_more_than_it_has() {
    let mut floor = Floor::new();
    floor.seller("seller", 64, 100_000_000_000);
    let granted = (0..20).filter(|_| floor.try_call(Limits::default()).is_ok()).count();
    assert_eq!((granted, floor.held(floor.buyer)), (10, 1_000_000_000_000));
}

#[test]
fn a_max_cost_cuts_the_timeout_to_what_it_buys() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    let grant = floor.try_call(max_cost(PRICE / 4 + 1)).unwrap();
    assert_eq!(grant.timeout_ms, TIMEOUT_MS / 4);
    assert!(floor.held(floor.buyer) <= u128::from(PRICE / 4 + 1));
    assert!(floor.settle(grant.lease, 1_000).cost <= money(PRICE / 4 + 1));
}

#[test]
fn a_max_cost_refuses_offers_that_cannot_keep_it() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    floor.quote(seller, vec![Rung { enforces_timeout: false, ..rung(1, PRICE) }]).unwrap();
    assert_eq!(class(floor.try_call(max_cost(PRICE / 4))), NoOffer::Eligible);
    assert_eq!(floor.try_call(max_cost(PRICE)).unwrap().timeout_ms, TIMEOUT_MS);
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert_eq!(class(floor.try_call(max_cost(PRICE / 1_000 - 1))), NoOffer::Eligible);
    assert_eq!(floor.try_call(max_cost(PRICE / 1_000)).unwrap().timeout_ms, 1);
}

#[test]
fn a_bidder_learns_nothing_of_the_function_of_another() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    let other = floor.account("other", 1_000_000);
    floor.buyer = other;
    let refusal = floor.try_call(Limits::default());
    assert_eq!(refusal, Err(Refusal::Unknown { what: "function", name: "0".to_owned() }));
}
