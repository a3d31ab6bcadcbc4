//! Visibility of providers, offers and trades: public market data is of public offers.

use merit_engine::{Command, Event, Forgotten, LeaseTerms, ProviderKind, Viewer};
use merit_kit::{Floor, PRICE, Seller, name, only, pool, rung, settle};
use merit_terms::{AccountId, LeaseId, Limits, Rung};

fn for_buyer(per_gb_second: u64) -> Rung {
    Rung { audience: vec![name("buyer")], ..rung(1, per_gb_second) }
}

/// Logs on an own provider of another account, which quotes this rung.
fn cluster(floor: &mut Floor, rung: Rung) -> Seller {
    let owner = floor.account("owner", 0);
    let id = floor.provider("cluster", owner, ProviderKind::Own);
    let seller = Seller { id, account: owner, session: floor.logon(id, pool(4)) };
    floor.quote(seller, vec![rung]).unwrap();
    seller
}

/// Returns the number of trades of the market, and its last price in picodollars.
fn market(floor: &Floor) -> (u64, Option<u64>) {
    let market = floor.engine.market(floor.market).unwrap();
    (market.trades, market.last_price.map(|price| price.picodollars()))
}

#[test]
fn a_trade_of_an_own_provider_is_private() {
    let mut floor = Floor::new();
    cluster(&mut floor, for_buyer(PRICE));
    let lease = floor.call();
    assert!(lease.private);
    floor.settle(lease.lease, 100);
    assert_eq!(market(&floor), (0, None));
    let settled = floor.events.iter().find_map(|event| match event {
        Event::Settled { lease, last_price, .. } => Some((lease.private, *last_price)),
        _ => None,
    });
    assert_eq!(settled, Some((true, None)));
}

#[test]
fn a_trade_on_an_offer_for_some_is_private() {
    let mut floor = Floor::new();
    let seller = floor.newcomer("seller", 4);
    floor.quote(seller, vec![for_buyer(PRICE)]).unwrap();
    let lease = floor.call().lease;
    // It may be public by the time of the settlement; the match decides.
    floor.quote(seller, vec![rung(1, PRICE)]).unwrap();
    floor.settle(lease, 100);
    assert_eq!(market(&floor), (0, None));
    floor.run_at("seller", 100);
    assert_eq!(market(&floor), (1, Some(PRICE)));
}

#[test]
fn a_forgotten_private_lease_makes_a_private_trade() {
    let mut floor = Floor::new();
    floor.apply(Command::Start { run: 1 }).unwrap();
    cluster(&mut floor, for_buyer(PRICE));
    let granted = floor.call();
    floor.apply(Command::Start { run: 2 }).unwrap();
    let lease = LeaseId { run: 1, sequence: floor.engine.sequence() };
    let terms = LeaseTerms { lease, invocation: lease, ..granted };
    let settle = settle(lease, 100);
    floor.apply(Command::SettleForgotten(Box::new(Forgotten { terms, settle }))).unwrap();
    assert_eq!(market(&floor), (0, None));
}

#[test]
fn books_say_which_offers_are_public() {
    let mut floor = Floor::new();
    cluster(&mut floor, rung(1, PRICE));
    let seller = floor.newcomer("seller", 4);
    floor.quote(seller, vec![rung(1, PRICE + 1), Rung { id: 2, ..for_buyer(PRICE + 2) }]).unwrap();
    let public: Vec<bool> = floor.engine.book(floor.market).iter().map(|offer| offer.is_public).collect();
    assert_eq!(public, [false, true, false]);
    floor.quote(seller, vec![for_buyer(PRICE + 1)]).unwrap();
    let told = floor.events.iter().find_map(|event| match event {
        Event::Offer(offer) => Some(offer.is_public),
        _ => None,
    });
    assert_eq!(told, Some(false), "an offer that ceases to be public is told so");
}

#[test]
fn a_snapshot_keeps_which_offers_are_public() {
    let mut floor = Floor::new();
    cluster(&mut floor, rung(1, PRICE));
    floor.seller("seller", 4, PRICE);
    let book = floor.engine.book(floor.market);
    let bytes = rmp_serde::to_vec_named(&floor.engine).unwrap();
    let loaded: merit_engine::Engine = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(loaded.book(floor.market), book);
    assert_eq!(book.iter().filter(|offer| offer.is_public).count(), 1);
}

#[test]
fn an_own_provider_is_seen_by_owner_and_named() {
    let mut floor = Floor::new();
    let other = floor.account("other", 0);
    let Seller { id, account: owner, .. } = cluster(&mut floor, for_buyer(PRICE));
    let sees = |floor: &Floor, viewer| floor.engine.sees_provider(viewer, id);
    let accounts = |floor: &Floor| [owner, floor.buyer, other].map(|id| sees(floor, Viewer::Account(id)));
    assert_eq!(accounts(&floor), [true, true, false]);
    assert!(sees(&floor, Viewer::Operator) && !sees(&floor, Viewer::Anybody));
    floor.apply(Command::CancelAll { provider: id, session: 1 }).unwrap();
    assert_eq!(accounts(&floor), [true, false, false], "nobody is named any more");
}

#[test]
fn a_quote_marks_refused_offers_that_are_hidden() {
    let mut floor = Floor::new();
    cluster(&mut floor, rung(1, PRICE));
    let seller = floor.seller("seller", 4, PRICE);
    let quote = |floor: &Floor, buyer: AccountId| {
        let limits = Limits { ignore: vec![name("seller"), name("cluster")], ..Limits::default() };
        let quote = floor.engine.quote(&merit_engine::Bid { account: buyer, ..floor.bid(limits) }).unwrap();
        quote.refused.iter().map(|refused| (refused.provider == seller.id, refused.visible)).collect::<Vec<_>>()
    };
    assert_eq!(quote(&floor, floor.buyer), [(false, false), (true, true)]);
    assert!(floor.try_call(only(name("cluster"))).is_err());
}
