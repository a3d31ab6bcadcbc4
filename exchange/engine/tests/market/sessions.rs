//! Sessions of providers: their ends, and what outlives them.

use merit_engine::{Command, Quote};
use merit_kit::{Floor, PRICE, Seller, pool, rung};
use merit_terms::{Limits, NoOffer, Refusal};

fn nobody_sells(floor: &mut Floor) -> bool {
    let refusal = floor.try_call(Limits::default());
    matches!(refusal, Err(Refusal::NoOffer { class: NoOffer::Eligible, offers: 0, markets: 0, .. }))
}

#[test]
fn a_disconnect_cancels_the_offers_and_leaves_the_leases() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    floor.apply(Command::Disconnect { provider: seller.id, session: seller.session }).unwrap();
    assert!(nobody_sells(&mut floor));
    assert_eq!(floor.engine.pools(seller.id)[0].leases, 1);
    floor.settle(lease, 100);
    assert!(floor.balance(seller.account) > 0);
}

#[test]
fn a_second_logon_fences_the_first_session() {
    let mut floor = Floor::new();
    let first = floor.seller("seller", 4, PRICE);
    let lease = floor.call().lease;
    let second = Seller { session: floor.logon(first.id, pool(2)), ..first };
    assert!(nobody_sells(&mut floor));
    assert_eq!(floor.quote(first, vec![rung(1, PRICE)]), Err(Refusal::NotInSession));
    let disconnect = Command::Disconnect { provider: first.id, session: first.session };
    assert_eq!(floor.apply(disconnect), Err(Refusal::NotInSession));
    floor.quote(second, vec![rung(1, PRICE)]).unwrap();
    let bid = floor.bid(Limits::default());
    assert_eq!(floor.acquire(bid).unwrap().session, second.session);
    let full = floor.try_call(Limits::default());
    assert!(matches!(full, Err(Refusal::NoOffer { class: NoOffer::Room, .. })), "the old lease still runs");
    floor.settle(lease, 100);
    floor.call();
}

#[test]
fn a_new_run_cancels_all_offers_and_leaves_the_leases() {
    let mut floor = Floor::new();
    floor.apply(Command::Start { run: 1 }).unwrap();
    let sellers = ["one", "two"].map(|name| floor.seller(name, 4, PRICE));
    let lease = floor.call().lease;
    floor.apply(Command::Start { run: 2 }).unwrap();
    assert!(nobody_sells(&mut floor));
    for seller in sellers {
        assert_eq!(floor.quote(seller, vec![rung(1, PRICE)]), Err(Refusal::NotInSession));
    }
    assert_eq!(lease.run, 1);
    floor.settle(lease, 100);
    let refusal = floor.apply(Command::Start { run: 2 });
    assert!(matches!(refusal, Err(Refusal::Invalid { field, .. }) if field == "run"));
}

#[test]
fn a_repeated_quote_number_changes_nothing() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    let quote = |rungs| {
        let (provider, session, market) = (seller.id, seller.session, merit_terms::MarketId::new(0));
        Command::Quote(Quote { provider, session, market, number: 7, rungs })
    };
    floor.apply(quote(vec![rung(1, PRICE)])).unwrap();
    let before = floor.engine.digest();
    assert_eq!(floor.apply(quote(Vec::new())), Err(Refusal::StaleQuote { last: 7 }));
    assert_eq!(floor.engine.digest(), before);
}

#[test]
fn cancelling_all_offers_keeps_the_session() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    floor.apply(Command::CancelAll { provider: seller.id, session: seller.session }).unwrap();
    assert!(nobody_sells(&mut floor));
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    assert_eq!(floor.call().provider, seller.id);
}
