//! Markets under the operator's hand: states, price bands, dealing with oneself.

use merit_engine::{Command, MarketState, MarketTerms, ProviderKind};
use merit_kit::{Floor, PRICE, Seller, pool, rung};
use merit_terms::{NoOffer, Price, Refusal};

fn set(floor: &mut Floor, terms: MarketTerms) -> Result<merit_engine::Reply, Refusal> {
    floor.apply(Command::SetMarket { market: floor.market, terms })
}

fn state(state: MarketState) -> MarketTerms {
    MarketTerms { state, ..MarketTerms::default() }
}

fn bands(low: u64, high: u64) -> MarketTerms {
    let bands = Some((Price::from_picodollars(low), Price::from_picodollars(high)));
    MarketTerms { bands, ..MarketTerms::default() }
}

#[test]
fn a_halted_market_takes_offers_and_matches_nothing() {
    let mut floor = Floor::new();
    set(&mut floor, state(MarketState::Halted)).unwrap();
    floor.seller("seller", 4, PRICE);
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    set(&mut floor, state(MarketState::Open)).unwrap();
    floor.call();
}

#[test]
fn a_cancel_only_market_lets_offers_only_be_cancelled() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    set(&mut floor, state(MarketState::CancelOnly)).unwrap();
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    let refusal = floor.quote(seller, vec![rung(1, PRICE)]);
    assert_eq!(refusal, Err(Refusal::MarketClosed { state: "cancel_only" }));
    floor.quote(seller, Vec::new()).unwrap();
    assert!(floor.engine.book(floor.market).is_empty());
}

#[test]
fn offers_outside_the_bands_never_match_unless_free() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 4, PRICE);
    set(&mut floor, bands(2 * PRICE, 3 * PRICE)).unwrap();
    assert_eq!(floor.lacks(), NoOffer::Eligible);
    for (price, is_taken) in
        [(2 * PRICE - 20, false), (2 * PRICE, true), (3 * PRICE, true), (3 * PRICE + 20, false), (0, true)]
    {
        assert_eq!(floor.quote(seller, vec![rung(1, price)]).is_ok(), is_taken, "{price}");
    }
    floor.call();
    assert!(matches!(set(&mut floor, bands(2, 1)), Err(Refusal::Invalid { field, .. }) if field == "bands"));
}

/// Returns the refusal of a buyer whose own account sells.
fn dealing(self_dealing: bool) -> Option<NoOffer> {
    let mut floor = Floor::new();
    set(&mut floor, MarketTerms { self_dealing, ..MarketTerms::default() }).unwrap();
    let account = floor.buyer;
    let id = floor.provider("same-account", account, ProviderKind::Market);
    let session = floor.logon(id, pool(4));
    floor.quote(Seller { id, account, session }, vec![rung(1, PRICE)]).unwrap();
    (floor.granted(1) == 0).then(|| floor.lacks())
}

#[test]
fn nobody_buys_from_itself_unless_the_market_allows_it() {
    assert_eq!(dealing(false), Some(NoOffer::Eligible));
    assert_eq!(dealing(true), None);
}

#[test]
fn an_empty_market_is_deleted_and_its_name_is_free() {
    let mut floor = Floor::new();
    let typo = floor.create_market("eu-wset/wasm");
    let seller = floor.seller("seller", 4, PRICE);
    let delete = |floor: &mut Floor, market| floor.apply(Command::DeleteMarket { market });
    let open = floor.market;
    let refused = delete(&mut floor, open);
    assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "market"), "{refused:?}");
    delete(&mut floor, typo).unwrap();
    assert_eq!(floor.engine.find_market(&"eu-wset/wasm".parse().unwrap()), None);
    assert_eq!(floor.engine.markets().count(), 1);
    for command in
        [Command::DeleteMarket { market: typo }, Command::SetMarket { market: typo, terms: MarketTerms::default() }]
    {
        assert!(matches!(floor.apply(command), Err(Refusal::Unknown { what: "market", .. })));
    }
    let again = floor.create_market("eu-wset/wasm");
    assert_ne!(again, typo);
    floor.call();
    // A lease still sells there.
    let lease = floor.call();
    floor.quote(seller, Vec::new()).unwrap();
    assert!(delete(&mut floor, open).is_err(), "{lease:?} runs");
}

#[test]
fn a_market_is_deleted_though_bids_could_be_matched_there() {
    let mut floor = Floor::new();
    let (open, typo) = (floor.market, floor.create_market("eu-wset/wasm"));
    let bid = floor.rest(PRICE);
    floor.apply(Command::DeleteMarket { market: typo }).unwrap();
    let refused = floor.apply(Command::DeleteMarket { market: open });
    assert!(matches!(refused, Err(Refusal::Invalid { .. })), "{bid:?} would wait for ever");
    floor.seller("seller", 1, PRICE);
    assert_eq!(floor.offered().map(|offered| offered.invocation), Some(bid));
}
