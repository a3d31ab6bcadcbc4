//! Offers: their audience, their expiry, and the protection of their maker.

use std::collections::BTreeMap;

use merit_engine::{AtDeadline, Command, EXPIRIES_MAX, Logon, ProviderKind};
use merit_kit::{Floor, PRICE, Seller, logon, max_price, name, pool, rung};
use merit_terms::{Limits, NoOffer, Protection, Refusal, Rung};

fn for_account(account: &str) -> Rung {
    Rung { audience: vec![name(account)], ..rung(1, PRICE) }
}

#[test]
fn an_offer_for_named_accounts_serves_only_those() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    floor.account("friend", 0);
    floor.quote(seller, vec![for_account("friend")]).unwrap();
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    floor.quote(seller, vec![for_account("buyer")]).unwrap();
    floor.call();
    assert!(matches!(floor.quote(seller, vec![for_account("nobody")]), Err(Refusal::Rungs { .. })));
}

#[test]
fn an_own_provider_serves_its_owner_and_named_accounts() {
    let mut floor = Floor::new();
    let owner = floor.account("owner", 0);
    let id = floor.provider("own-cluster", owner, ProviderKind::Own);
    let seller = Seller { id, account: owner, session: floor.logon(id, pool(4)) };
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    floor.quote(seller, vec![for_account("buyer")]).unwrap();
    let lease = floor.call().lease;
    floor.settle(lease, 100);
    assert_eq!((floor.held(floor.buyer), floor.balance(owner)), (0, 0), "it moves no money");
}

#[test]
fn an_expired_offer_sells_nothing_while_dues_are_behind() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    for _ in 0..EXPIRIES_MAX {
        floor.try_defer(max_price(PRICE / 2), 2, AtDeadline::Expire).unwrap();
    }
    let expires = Some(floor.now.after_millis(2_000));
    floor.quote(seller, vec![Rung { expires, ..rung(1, PRICE) }]).unwrap();
    floor.now = floor.now.after_millis(2_000);
    assert_eq!(floor.lacks(), NoOffer::Room, "its expiry is not run yet");
    assert_eq!(floor.engine.book(floor.market).len(), 1);
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    assert!(floor.engine.book(floor.market).is_empty());
}

#[test]
fn the_digest_is_of_offers_not_of_their_slots() {
    let digest_after = |cancelled: [usize; 2]| {
        let mut floor = Floor::new();
        let seller = floor.newcomer("seller", 4);
        let markets = [floor.market, floor.create_market("us-east/wasm")];
        let (all, none) = (vec![rung(1, PRICE)], Vec::new());
        for (market, rungs) in
            [(0, &all), (1, &all), (cancelled[0], &none), (cancelled[1], &none), (0, &all), (1, &all)]
        {
            floor.quote_in(markets[market], seller, rungs.clone()).unwrap();
        }
        floor.engine.digest()
    };
    assert_eq!(digest_after([0, 1]), digest_after([1, 0]));
}

#[test]
fn an_offer_leaves_the_book_when_it_expires() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let expires = Some(floor.now.after_millis(2_000));
    floor.quote(seller, vec![Rung { expires, ..rung(1, PRICE) }, rung(2, 2 * PRICE)]).unwrap();
    floor.wait_ms(1_999);
    assert_eq!(floor.next_price(), PRICE);
    floor.wait_ms(1);
    assert_eq!(floor.next_price(), 2 * PRICE);
    let past = Rung { expires: Some(floor.now), ..rung(1, PRICE) };
    assert!(matches!(floor.quote(seller, vec![past]), Err(Refusal::Rungs { .. })));
}

#[test]
fn another_expiry_and_other_claims_keep_an_offers_place() {
    let mut floor = Floor::new();
    let first = floor.seller("first", 8, PRICE);
    floor.seller("second", 8, PRICE);
    let labels = BTreeMap::from([("claimed.residency".to_owned(), "moon".to_owned())]);
    let expires = Some(floor.now.after_millis(60_000));
    floor.quote(first, vec![Rung { labels, expires, ..rung(1, PRICE) }]).unwrap();
    assert_eq!(floor.call().provider, first.id);
}

#[test]
fn what_a_provider_claims_of_itself_satisfies_no_limit() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let label = ("claimed.residency".to_owned(), "moon".to_owned());
    floor.quote(seller, vec![Rung { labels: BTreeMap::from([label.clone()]), ..rung(1, PRICE) }]).unwrap();
    assert!(floor.try_call(Limits { labels: vec![label], ..Limits::default() }).is_err());
    for (name, value) in [("residency", "moon"), ("claimed.x", "\u{1b}[2J"), ("claimed.\n", "moon")] {
        let labels = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert!(floor.quote(seller, vec![Rung { labels, ..rung(2, PRICE) }]).is_err(), "{name:?}: {value:?}");
    }
}

#[test]
fn a_logout_leaves_the_offers_that_expire_to_their_expiry() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let expires = Some(floor.now.after_millis(10_000));
    floor.quote(seller, vec![rung(1, PRICE), Rung { expires, ..rung(2, 2 * PRICE) }]).unwrap();
    floor.apply(Command::Logout { provider: seller.id, session: seller.session }).unwrap();
    assert!(!floor.engine.provider(seller.id).unwrap().online);
    assert_eq!(floor.call().price.picodollars(), 2 * PRICE);
    floor.logon(seller.id, pool(4));
    assert_eq!(floor.call().price.picodollars(), 2 * PRICE, "another logon leaves them too");
    floor.wait_s(10);
    assert_eq!(floor.lacks(), NoOffer::Eligible);
}

/// Returns the number of calls that a provider serves which is protected from this many leases in 100 ms.
fn served_while_protected(leases: u32, every_ms: u64) -> usize {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 64);
    let protection = Some(Protection { leases, within_ms: 100 });
    let session = floor.logon_with(Logon { protection, ..logon(seller.id, pool(64)) }).unwrap();
    floor.quote(Seller { session, ..seller }, vec![rung(1, PRICE)]).unwrap();
    let mut served = 0;
    while served < 20 && floor.try_call(Limits::default()).is_ok() {
        served += 1;
        floor.wait_ms(every_ms);
    }
    served
}

#[test]
fn a_protected_provider_leased_too_fast_pulls_its_offers() {
    assert_eq!(served_while_protected(3, 1), 3);
    assert_eq!(served_while_protected(3, 49), 3);
    assert_eq!(served_while_protected(3, 50), 20);
}
