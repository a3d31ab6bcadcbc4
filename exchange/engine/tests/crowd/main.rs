//! The search in a crowd: among hundreds of providers it finds the offer that a look at every offer finds.
//!
//! The naive twin is too slow for so many; `quote`, which looks at every offer, is compared with it elsewhere.
//! `MERIT_SEED` is added to the seeds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bazaar;

use bazaar::Bazaar;
use merit_engine::{Applied, Bid, Command, Engine, Event, MeritOrder, Reply};
use merit_kit::random::{Size, World};
use merit_terms::{NoOffer, Refusal, Time};

/// Counts of the comparisons.
#[derive(Debug, Default)]
struct Found {
    granted: u64,
    refused: u64,
    runners_up: u64,
    /// Grants to a provider without history where others had some.
    newcomers: u64,
    most_offers: usize,
    /// The most offers of providers with history in one quote.
    most_known: usize,
}

/// The most offers without room that the engine looks at to name what a bid lacks.
const LOOKED_AT: usize = 256;

fn seeded((seed, providers): (u64, u32)) -> (u64, u32) {
    let more: u64 = std::env::var("MERIT_SEED").map_or(0, |text| text.parse().unwrap());
    (seed + more, providers)
}

#[test]
fn a_random_world_is_searched_as_by_a_full_scan() {
    for (seed, providers) in [(1, 40), (2, 150), (6, 400)].map(seeded) {
        let mut world = World::new(seed, Size { providers, names: 1, begins: 100 });
        let (mut engine, mut found) = (Engine::new(), Found::default());
        for number in 0..24_000 {
            let (clock, command) = world.next(&engine);
            let applied = step(&mut engine, clock, &command, &format!("seed {seed}, command {number}"), &mut found);
            world.observe(&command, &applied);
        }
        println!("seed {seed}, {providers} providers: {found:?}");
        assert!(found.granted > 500 && found.refused > 500, "seed {seed}: {found:?}");
    }
}

#[test]
fn a_bazaar_is_searched_as_by_a_full_scan() {
    for (seed, providers) in [(1, 30), (2, 200), (3, 600)].map(seeded) {
        let (mut bazaar, mut engine, mut found) = (Bazaar::new(seed, providers), Engine::new(), Found::default());
        let mut number = 0;
        while let Some((clock, command)) = bazaar.next(&engine) {
            let applied = step(&mut engine, clock, &command, &format!("seed {seed}, command {number}"), &mut found);
            bazaar.observe(&applied);
            number += 1;
        }
        println!("seed {seed}, {providers} providers: {found:?}");
        assert!(found.granted > 1_000 && found.refused > 20 && found.newcomers > 5, "seed {seed}: {found:?}");
        assert!(found.most_known as u64 > u64::from(providers) / 2, "seed {seed}: {found:?}");
    }
}

/// Applies a command. A bid is applied at the time of its quote, so that nothing comes between.
fn step(engine: &mut Engine, clock: Time, command: &Command, place: &str, found: &mut Found) -> Applied {
    let is_quiet = engine.next_due().is_none_or(|due| due > engine.last_at());
    let (clock, quoted) = match command {
        Command::Acquire(bid) if is_quiet => (engine.last_at(), engine.quote(bid).ok().map(|quote| (quote, bid))),
        _ => (clock, None),
    };
    let mut events = Vec::new();
    let applied = engine.apply(clock, command, &mut events);
    if let Some((quote, bid)) = quoted {
        compare(&quote, bid, &applied, &events, place, found);
    }
    applied
}

fn compare(quote: &MeritOrder, bid: &Bid, applied: &Applied, events: &[Event], place: &str, found: &mut Found) {
    found.most_offers = found.most_offers.max(quote.offers.len());
    let known = quote.offers.iter().filter(|offer| !offer.on_prior()).count();
    found.most_known = found.most_known.max(known);
    match (&applied.reply, events.first()) {
        (Ok(Reply::Granted(_)), Some(Event::Granted(lease))) => {
            let best = quote.offers.first().expect(place);
            let second = quote.offers.iter().find(|offer| offer.provider != best.provider);
            let expected = (best.offer, best.cost, best.worst_cost, best.timeout_ms, best.on_prior());
            let leased = (lease.offer, lease.quoted_cost, lease.worst_cost, lease.timeout_ms, lease.on_prior);
            assert_eq!(leased, expected, "{place}: {bid:?}");
            assert_eq!(lease.runner_up, second.map(|offer| (offer.provider, offer.cost)), "{place}: {bid:?}");
            found.granted += 1;
            found.runners_up += u64::from(second.is_some());
            found.newcomers += u64::from(known > 0 && lease.on_prior);
        }
        (Err(Refusal::NoOffer { class, .. }), _) => {
            assert_eq!(quote.offers, [], "{place}: {bid:?}");
            let nearest = quote.refused.iter().map(|refused| refused.reason.class()).min();
            let nearest = nearest.unwrap_or(NoOffer::Eligible);
            // The engine looks at a part of many offers without room to name what is lacking.
            let is_told = *class == nearest || (quote.refused.len() > LOOKED_AT && *class > nearest);
            assert!(is_told, "{place}: {class:?}, not {nearest:?}: {bid:?}");
            found.refused += 1;
        }
        _ => {}
    }
}
