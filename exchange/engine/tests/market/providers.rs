//! Providers under the operator's hand: limits, and the switch that stops them.

use std::collections::BTreeMap;

use merit_engine::{Command, Ending, Event, ProviderLimits, SessionEnding};
use merit_kit::{Floor, PRICE, Seller, logon, money, pool, rung};
use merit_terms::{Limits, NoOffer, Refusal};

fn limit(floor: &mut Floor, seller: Seller, limits: ProviderLimits) {
    floor.apply(Command::SetProviderLimits { provider: seller.id, limits }).unwrap();
}

#[test]
fn a_killed_provider_is_gone_but_its_leases_go_on() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    floor.apply(Command::Kill { provider: seller.id, reason: "fraud".to_owned() }).unwrap();
    let ended = |event: &Event| matches!(event, Event::SessionEnded { why: SessionEnding::Killed, .. });
    assert!(floor.events.iter().any(ended));
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    let refusal = floor.logon_with(logon(seller.id, pool(4)));
    assert_eq!(refusal, Err(Refusal::Killed { reason: "fraud".to_owned() }));
    floor.settle(lease, 100);
    floor.apply(Command::Revive { provider: seller.id }).unwrap();
    assert!(floor.logon_with(logon(seller.id, pool(4))).is_ok());
}

#[test]
fn limits_on_offers_count_all_markets() {
    let mut floor = Floor::new();
    let other = floor.create_market("us-east/wasm");
    let seller = floor.seller("seller", 4, PRICE);
    limit(&mut floor, seller, ProviderLimits { offers: Some(2), ..ProviderLimits::default() });
    let refusal = floor.quote_in(other, seller, vec![rung(1, PRICE), rung(2, PRICE)]);
    assert_eq!(refusal, Err(Refusal::OverLimit { limit: "live offers", most: 2 }));
    floor.quote_in(other, seller, vec![rung(1, PRICE)]).unwrap();
    floor.quote(seller, vec![rung(7, PRICE)]).unwrap();
}

#[test]
fn quote_limits_count_accepted_quotes_of_each_second() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    limit(&mut floor, seller, ProviderLimits { quotes_per_second: Some(2), ..ProviderLimits::default() });
    let taken = |floor: &mut Floor| floor.quote(seller, vec![rung(1, PRICE)]).is_ok();
    assert_eq!([taken(&mut floor), taken(&mut floor), taken(&mut floor)], [true, true, false]);
    floor.wait_s(1);
    assert_eq!([taken(&mut floor), taken(&mut floor), taken(&mut floor)], [true, true, false]);
}

#[test]
fn exposure_limits_bound_the_worst_cases_of_open_leases() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 64, PRICE);
    limit(&mut floor, seller, ProviderLimits { exposure: Some(money(3 * PRICE)), ..ProviderLimits::default() });
    assert_eq!((floor.granted(9), floor.lacks()), (3, NoOffer::Room));
    assert_eq!(floor.engine.provider(seller.id).unwrap().exposure, u128::from(3 * PRICE));
}

#[test]
fn labels_that_the_operator_grants_replace_those_before() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let asks = |value: &str| Limits { labels: vec![("residency".to_owned(), value.to_owned())], ..Limits::default() };
    let labels = BTreeMap::from([("residency".to_owned(), "us".to_owned())]);
    floor.apply(Command::GrantLabels { provider: seller.id, labels }).unwrap();
    assert!(floor.try_call(asks("eu")).is_err());
    assert!(floor.try_call(asks("us")).is_ok());
}

#[test]
fn the_operator_closes_a_lease_at_no_cost() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 1, PRICE);
    let lease = floor.call().lease;
    floor.apply(Command::CloseLease { lease }).unwrap();
    assert!(floor.events.iter().any(|event| matches!(event, Event::Ended { how: Ending::Closed, .. })));
    assert_eq!((floor.held(floor.buyer), floor.balance(seller.account)), (0, 0));
    assert_eq!(floor.apply(Command::CloseLease { lease }), Err(Refusal::Closed));
    floor.call();
}
