//! The mirror against the engine that it follows, and its stream against a reader that knows nothing else.

use std::collections::{BTreeMap, BTreeSet};

use merit_engine::{Engine, MarketState, OfferChange, ProviderKind};
use merit_proto::v1;
use merit_proto::v1::market_event::Event as Sent;
use merit_terms::{MarketId, Price};

use super::backlog::UNREAD_MAX;
use super::{Beginning, Books, Follower};
use crate::world::{MARKETS, World};

fn books_of(world: &World) -> Books {
    let books = Books::new();
    books.begin(&world.engine);
    books
}

/// Reads the books without the sequence of their last publication.
fn standing(books: &Books) -> Vec<v1::BookSnapshot> {
    let market = |number| books.snapshot(MarketId::new(number));
    (0..).map_while(market).map(|snapshot| v1::BookSnapshot { sequence: 0, ..snapshot }).collect()
}

/// Returns the price of the cheapest public offer with room for the reference call.
fn naive_spot(engine: &Engine, market: MarketId) -> Option<u64> {
    let terms = engine.market(market)?.terms;
    let is_public =
        |offer: &OfferChange| offer.is_public && engine.provider(offer.provider).unwrap().kind == ProviderKind::Market;
    let is_within = |price| price == Price::ZERO || terms.bands.is_none_or(|(low, high)| low <= price && price <= high);
    let book = engine.book(market).into_iter().filter(|_| terms.state == MarketState::Open);
    let priced = book.filter(|offer| {
        offer.takes_reference_call && is_public(offer) && offer.free_mb >= 512 && is_within(offer.price)
    });
    priced.map(|offer| offer.price.picodollars()).min()
}

#[test]
fn the_mirror_is_the_engines_public_book_after_every_command() {
    let (mut rested, mut closed, mut private, mut spots) = (false, false, false, BTreeSet::new());
    for seed in 0..20 {
        let mut world = World::new(seed);
        let books = books_of(&world);
        for step in 0..1_500 {
            books.apply(&mut world.run(1));
            rested |= books.markets().iter().any(|market| market.bids > 0);
            closed |= books.markets().iter().any(|market| market.terms.unwrap().state() != v1::MarketState::Open);
            let fresh = books_of(&world);
            assert_eq!(standing(&books), standing(&fresh), "seed {seed}, step {step}");
            assert_eq!(books.markets(), fresh.markets(), "seed {seed}, step {step}");
            for (market, snapshot) in (0..).map(MarketId::new).zip(standing(&books)) {
                let book = world.engine.book(market);
                let public =
                    book.iter().filter(|offer| offer.is_public).map(|offer| (offer.offer.to_string(), offer.free_mb));
                let shown = snapshot.offers.iter().map(|offer| (offer.offer.clone(), offer.free_mb));
                assert!(shown.eq(public), "seed {seed}, step {step}");
                private |= book.iter().any(|offer| !offer.is_public && offer.free_mb > 0);
                let spot = naive_spot(&world.engine, market);
                assert_eq!(snapshot.spot_price, spot, "seed {seed}, step {step}");
                spots.insert(spot);
            }
        }
        assert!(books.markets().iter().any(|market| market.trades > 0), "seed {seed} traded nothing");
    }
    assert!(rested && closed && private, "no bid rested, no market was ever closed, or no offer was private");
    assert!(spots.len() > 4 && spots.contains(&None), "{spots:?}");
}

/// A reader's book, built from what it was sent.
#[derive(Default)]
struct Reader {
    sequence: u64,
    terms: Option<v1::MarketTerms>,
    spot_price: Option<u64>,
    last_price: Option<u64>,
    offers: BTreeMap<(u64, String), v1::Offer>,
    bids: BTreeMap<u64, v1::BidLevel>,
    trades: u64,
}

impl Reader {
    fn hear(readers: &mut BTreeMap<String, Reader>, event: &Sent) {
        match event {
            Sent::Snapshot(snapshot) => {
                let reader = readers.entry(snapshot.market.clone()).or_default();
                *reader = Reader { trades: reader.trades, ..Reader::default() };
                (reader.sequence, reader.terms) = (snapshot.sequence, snapshot.terms);
                (reader.spot_price, reader.last_price) = (snapshot.spot_price, snapshot.last_price);
                reader.put(&snapshot.offers, &snapshot.bids);
                assert_eq!(reader.checksum(), snapshot.checksum);
            }
            Sent::Delta(delta) => {
                let reader = readers.get_mut(&delta.market).expect("a snapshot comes first");
                assert_eq!(delta.prev_seq, reader.sequence, "{}", delta.market);
                assert!(delta.seq > delta.prev_seq && !(delta.offers.is_empty() && delta.bids.is_empty()));
                (reader.sequence, reader.spot_price) = (delta.seq, delta.spot_price);
                reader.put(&delta.offers, &delta.bids);
                assert_eq!(reader.checksum(), delta.checksum, "{} at {}", delta.market, delta.seq);
            }
            Sent::Trade(trade) => {
                let reader = readers.get_mut(&trade.market).expect("a snapshot comes first");
                (reader.last_price, reader.trades) = (trade.last_price, reader.trades + 1);
            }
            Sent::State(state) => {
                let reader = readers.get_mut(&state.market).expect("a snapshot comes first");
                (reader.terms, reader.spot_price) = (state.terms, state.spot_price);
            }
            Sent::Heartbeat(_) => {}
        }
    }

    fn put(&mut self, offers: &[v1::Offer], bids: &[v1::BidLevel]) {
        for offer in offers {
            let key = (offer.price, offer.offer.clone());
            match offer.capacity_mb {
                0 => self.offers.remove(&key),
                _ => self.offers.insert(key, offer.clone()),
            };
        }
        for level in bids {
            match level.bids {
                0 => self.bids.remove(&level.price),
                _ => self.bids.insert(level.price, *level),
            };
        }
    }

    /// Computes CRC32C over levels best first, offers then bids, each number as u64 little-endian.
    fn checksum(&self) -> u32 {
        let mut levels: BTreeMap<u64, u64> = BTreeMap::new();
        for offer in self.offers.values() {
            *levels.entry(offer.price).or_default() += offer.free_mb;
        }
        let bids = self.bids.values().rev().map(|level| (level.price, level.memory_mb));
        let bytes: Vec<u8> = levels
            .into_iter()
            .chain(bids)
            .flat_map(|(price, quantity)| [price, quantity])
            .flat_map(u64::to_le_bytes)
            .collect();
        crc32c::crc32c(&bytes)
    }
}

/// Reads all waiting groups of a follower.
fn read(follower: &mut Follower, readers: &mut BTreeMap<String, Reader>) {
    while follower.told().is_none() {
        let group =
            futures_util::FutureExt::now_or_never(follower.next()).expect("it waits").expect("nothing was missed");
        for (_, event) in &group.events {
            Reader::hear(readers, event);
        }
    }
}

fn begin(beginning: Beginning, readers: &mut BTreeMap<String, Reader>) {
    if let Beginning::Snapshots(_, snapshots) = beginning {
        for (_, snapshot) in snapshots {
            Reader::hear(readers, &Sent::Snapshot(snapshot));
        }
    }
}

fn assert_knows(books: &Books, readers: &BTreeMap<String, Reader>) {
    let (markets, expected) = (books.markets(), standing(books));
    assert_eq!(readers.len(), expected.len());
    for (market, snapshot) in markets.iter().zip(expected) {
        let reader = &readers[&snapshot.market];
        let by_key = |offer: &v1::Offer| ((offer.price, offer.offer.clone()), offer.clone());
        assert_eq!(reader.offers, snapshot.offers.iter().map(by_key).collect());
        assert_eq!(reader.bids.values().rev().copied().collect::<Vec<_>>(), snapshot.bids);
        assert_eq!((reader.terms, reader.spot_price), (snapshot.terms, snapshot.spot_price));
        assert_eq!(reader.last_price, snapshot.last_price);
        assert!(market.trades >= reader.trades);
    }
}

#[test]
fn a_reader_of_the_stream_has_book_and_checksum() {
    for seed in 100..110 {
        let mut world = World::new(seed);
        let books = books_of(&world);
        // It follows all markets, also those that are made later.
        let (beginning, mut follower) = books.follow(|_| true, None);
        let mut readers = BTreeMap::new();
        begin(beginning, &mut readers);
        for batch in 1..200 {
            books.apply(&mut world.run(batch % 17));
            read(&mut follower, &mut readers);
            assert_knows(&books, &readers);
        }
        assert!(readers.len() > MARKETS as usize, "no market was made later");
    }
}

#[test]
fn who_comes_back_goes_on_where_it_stopped() {
    let mut world = World::new(7);
    let books = books_of(&world);
    books.apply(&mut world.run(500));
    let (beginning, mut follower) = books.follow(|_| true, None);
    let mut readers = BTreeMap::new();
    begin(beginning, &mut readers);
    for _ in 0..20 {
        books.apply(&mut world.run(10));
        read(&mut follower, &mut readers);
        let told = follower.told().unwrap();
        drop(follower);
        books.apply(&mut world.run(50));
        let (beginning, again) = books.follow(|_| true, Some(told));
        assert!(matches!(beginning, Beginning::Resumed));
        follower = again;
        read(&mut follower, &mut readers);
        assert_knows(&books, &readers);
    }
}

#[test]
fn what_is_no_longer_kept_is_told_by_snapshots() {
    let mut world = World::new(8);
    let books = books_of(&world);
    books.apply(&mut world.run(500));
    let early = world.engine.sequence();
    books.apply(&mut world.run(1));
    let resumed = |after| matches!(books.follow(|_| true, Some(after)).0, Beginning::Resumed);
    assert!(resumed(early));
    assert!(!resumed(early - 1), "it lies within a batch, which is told whole");
    assert!(!resumed(u64::MAX), "of a run that the journal lost");
    let mut batches = 0;
    while batches <= UNREAD_MAX {
        let mut happened = world.run(1);
        batches += happened.len();
        books.apply(&mut happened);
    }
    assert!(!resumed(early), "nobody followed for long");
}

#[test]
fn a_reader_that_is_too_far_behind_has_missed_changes() {
    let mut world = World::new(9);
    let books = books_of(&world);
    books.apply(&mut world.run(300));
    let (_, mut slow) = books.follow(|_| true, None);
    let (_, mut quick) = books.follow(|_| true, None);
    let mut missed = false;
    for _ in 0..2_000_000 {
        books.apply(&mut world.run(1));
        while quick.told().is_none() {
            let next = futures_util::FutureExt::now_or_never(quick.next());
            assert!(matches!(next, Some(Ok(_))), "the quick one reads all");
        }
        missed = slow.told().is_none() && books.lock().backlog.group(slow.next).is_err();
        if missed {
            break;
        }
    }
    assert!(missed, "the backlog has no bound");
    let next = futures_util::FutureExt::now_or_never(slow.next());
    assert!(matches!(next, Some(Err(super::Missed))));
}
