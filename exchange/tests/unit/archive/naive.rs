//! Every answer against one computed from all events at once.

use std::collections::BTreeMap;

use merit_engine::Event;
use merit_terms::{AccountId, Balance, LeaseId, MarketId, Time};
use redb::{ReadTransaction, ReadableDatabase};

use super::super::candles::{Interval, candles};
use super::super::invocations::{invocation, invocations};
use super::super::log::Span;
use super::super::logs::logs;
use super::super::statements::lines;
use super::super::store::Store;
use super::super::tape::{Trade, trades, trades_of};
use super::stored;
use crate::sequencer::{CallLog, Happened};
use crate::world::{MARKETS, World};

const ALL: usize = usize::MAX;

fn read(store: &Store) -> ReadTransaction {
    store.database().begin_read().unwrap()
}

/// The fields of a trade from its event: sequence, time, price, memory, billed time, last price.
type Traded = (u64, Time, u64, u32, u64, Option<u64>);

fn tape(happened: &[Happened]) -> BTreeMap<MarketId, Vec<Traded>> {
    let mut tape: BTreeMap<MarketId, Vec<Traded>> = BTreeMap::new();
    for one in happened {
        for event in &one.events {
            if let Event::Settled { lease, settlement, last_price, .. } = event
                && !lease.private
            {
                let last = last_price.map(|price| price.picodollars());
                let price = lease.price.picodollars();
                let traded = (one.sequence, one.at, price, lease.memory_mb, settlement.billed_ms, last);
                tape.entry(lease.market).or_default().push(traded);
            }
        }
    }
    tape
}

fn world(seed: u64) -> (World, Vec<Happened>) {
    let mut world = World::new(seed);
    let happened = world.run(4_000);
    (world, happened)
}

#[test]
fn the_tape_is_every_public_settlement_by_sequence_and_time() {
    for seed in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let (_, happened) = world(seed);
        let store = stored(&dir.path().join("archive"), &happened);
        let transaction = read(&store);
        let tape = tape(&happened);
        assert!(tape.values().map(Vec::len).sum::<usize>() > 50, "seed {seed} traded little");
        let is_private = |event: &Event| matches!(event, Event::Settled { lease, .. } if lease.private);
        assert!(happened.iter().any(|one| one.events.iter().any(is_private)), "seed {seed} traded nothing in private");
        for market in (0..MARKETS).map(MarketId::new) {
            let expected = tape.get(&market).cloned().unwrap_or_default();
            let asked = |span: Span, limit: usize| -> Vec<Traded> {
                let found = trades(&transaction, market, span, limit).unwrap();
                found
                    .iter()
                    .map(|trade| {
                        let row = &trade.row;
                        (trade.sequence, trade.at, row.price, row.memory_mb, row.billed_ms, row.last_price)
                    })
                    .collect()
            };
            let naive = |from: Option<Time>, to: Option<Time>, before: Option<u64>| -> Vec<Traded> {
                let within = |(sequence, at, ..): &&Traded| {
                    from.is_none_or(|from| *at >= from)
                        && to.is_none_or(|to| *at < to)
                        && before.is_none_or(|before| *sequence < before)
                };
                expected.iter().rev().filter(within).copied().collect()
            };
            let mut times: Vec<Time> = happened.iter().step_by(211).map(|one| one.at).collect();
            times.extend([Time::default(), Time::MAX]);
            for from in times.iter().copied().map(Some).chain([None]) {
                for to in times.iter().copied().map(Some).chain([None]) {
                    let span = Span { from, to, before: None, after: None };
                    assert_eq!(asked(span, ALL), naive(from, to, None), "seed {seed}, {from:?} to {to:?}");
                }
            }
            for before in [0, 1, 500, 2_000, u64::MAX] {
                let span = Span { before: Some(before), ..Span::default() };
                assert_eq!(asked(span, ALL), naive(None, None, Some(before)), "seed {seed}, before {before}");
            }
            // Page by page, the same, however many a page has.
            for limit in [1, 3, 50] {
                let (mut paged, mut before) = (Vec::new(), None);
                loop {
                    let page = asked(Span { before, ..Span::default() }, limit);
                    let Some(last) = page.last() else { break };
                    before = Some(last.0);
                    paged.extend(page);
                }
                assert_eq!(paged, naive(None, None, None), "seed {seed}, pages of {limit}");
            }
        }
    }
}

#[test]
fn an_account_sees_its_private_trades_among_the_public() {
    let mut private = 0;
    for seed in 20..24 {
        let dir = tempfile::tempdir().unwrap();
        let (world, happened) = world(seed);
        let store = stored(&dir.path().join("archive"), &happened);
        let transaction = read(&store);
        for (account, _) in world.engine.accounts() {
            for market in (0..MARKETS).map(MarketId::new) {
                let mut expected = Vec::new();
                for (one, event) in happened.iter().flat_map(|one| one.events.iter().map(move |event| (one, event))) {
                    if let Event::Settled { lease, seller, .. } = event
                        && lease.market == market
                        && (!lease.private || [lease.account, *seller].contains(&account))
                    {
                        expected.push((one.sequence, lease.id.sequence, lease.private));
                    }
                }
                expected.sort_unstable_by_key(|trade| std::cmp::Reverse(*trade));
                private += expected.iter().filter(|(.., private)| *private).count();
                let asked = |before: Option<u64>, limit: usize| {
                    let span = Span { before, ..Span::default() };
                    let found = trades_of(&transaction, (market, account), span, limit).unwrap();
                    let seen = |trade: &Trade| (trade.sequence, trade.row.lease.unwrap().sequence, trade.private);
                    found.iter().map(seen).collect::<Vec<_>>()
                };
                let mut paged: Vec<(u64, u64, bool)> = Vec::new();
                loop {
                    let page = asked(paged.last().map(|(sequence, ..)| *sequence), 7);
                    if page.is_empty() {
                        break;
                    }
                    paged.extend(page);
                }
                for found in [&mut paged, &mut asked(None, ALL)] {
                    found.sort_unstable_by_key(|trade| std::cmp::Reverse(*trade));
                    assert_eq!(found, &expected, "seed {seed}, {account:?}, {market:?}");
                }
            }
        }
    }
    assert!(private > 20, "{private} private trades");
}

/// Spot prices, energy and trades of an interval.
type OneInterval = (Vec<Option<u64>>, u128, u64);

#[test]
fn candles_are_spot_prices_and_trades() {
    for seed in 10..15 {
        let dir = tempfile::tempdir().unwrap();
        let (_, happened) = world(seed);
        let store = stored(&dir.path().join("archive"), &happened);
        let transaction = read(&store);
        let tape = tape(&happened);
        for market in (0..MARKETS).map(MarketId::new) {
            let lengths = [1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000];
            for (interval, length) in Interval::ALL.into_iter().zip(lengths) {
                let start = |at: Time| at.micros() / length * length;
                let mut by_start: BTreeMap<u64, OneInterval> = BTreeMap::new();
                for one in &happened {
                    for (_, spot) in one.spots.iter().filter(|(id, _)| *id == market) {
                        by_start.entry(start(one.at)).or_default().0.push(spot.map(|price| price.picodollars()));
                    }
                }
                for trade in tape.get(&market).into_iter().flatten() {
                    let (_, energy, trades) = by_start.entry(start(trade.1)).or_default();
                    *energy += u128::from(trade.3) * u128::from(trade.4);
                    *trades += 1;
                }
                let found = candles(&transaction, market, interval, (None, None), ALL).unwrap();
                let starts: Vec<u64> = found.iter().map(|(at, _)| at.micros()).collect();
                assert_eq!(starts, by_start.keys().copied().collect::<Vec<_>>());
                for ((_, candle), (spots, energy, trades)) in found.iter().zip(by_start.values()) {
                    let prices: Vec<u64> = spots.iter().flatten().copied().collect();
                    let range = prices
                        .first()
                        .map(|open| [*open, *prices.iter().max().unwrap(), *prices.iter().min().unwrap()]);
                    assert_eq!((candle.range, candle.close), (range, *spots.last().unwrap()));
                    assert_eq!((candle.energy_mb_ms, candle.trades), (*energy, *trades));
                }
                let (middle, end) = (Time::from_micros(starts[starts.len() / 2]), Time::MAX);
                let later = candles(&transaction, market, interval, (Some(middle), Some(end)), ALL).unwrap();
                assert_eq!(later, found[starts.len() / 2..]);
                let earlier = candles(&transaction, market, interval, (None, Some(middle)), 2).unwrap();
                assert_eq!(earlier, found[(starts.len() / 2).saturating_sub(2)..starts.len() / 2]);
            }
        }
    }
}

#[test]
fn statements_sum_to_the_balances_line_by_line() {
    for seed in 20..25 {
        let dir = tempfile::tempdir().unwrap();
        let (world, happened) = world(seed);
        let store = stored(&dir.path().join("archive"), &happened);
        let transaction = read(&store);
        let mut whole = 0;
        for (id, account) in world.engine.accounts() {
            let mut newest_first = lines(&transaction, id, Span::default(), ALL).unwrap();
            newest_first.reverse();
            let mut balance = 0;
            for line in &newest_first {
                balance += line.amount();
                assert_eq!(line.balance(), balance, "{} at {}", account.name, line.sequence);
            }
            assert_eq!(Balance::from_picodollars(balance), account.balance, "seed {seed}, {}", account.name);
            whole += balance;
        }
        assert_eq!(whole, 0);
        let moves = happened.iter().flat_map(|one| &one.events).filter(|event| matches!(event, Event::Moved { .. }));
        let count = |id| lines(&transaction, id, Span::default(), ALL).unwrap().len();
        let accounts = world.engine.accounts().len() as u32;
        assert_eq!((0..accounts).map(AccountId::new).map(count).sum::<usize>(), 2 * moves.count());
    }
}

/// The fields of an attempt: its lease, state, and cost.
type Attempted = (LeaseId, &'static str, Option<u64>, bool);

#[test]
fn records_tell_every_attempt_and_how_it_ended() {
    let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
    for seed in 30..40 {
        let dir = tempfile::tempdir().unwrap();
        let (_, happened) = world(seed);
        let store = stored(&dir.path().join("archive"), &happened);
        let transaction = read(&store);
        let mut naive: BTreeMap<LeaseId, Vec<Attempted>> = BTreeMap::new();
        let mut invocation_of: BTreeMap<LeaseId, LeaseId> = BTreeMap::new();
        let mut resting: BTreeMap<LeaseId, &'static str> = BTreeMap::new();
        for event in happened.iter().flat_map(|one| &one.events) {
            let mut attempt = |lease: LeaseId, change: &dyn Fn(&mut Attempted)| {
                let attempts = naive.entry(invocation_of[&lease]).or_default();
                change(attempts.iter_mut().find(|attempt| attempt.0 == lease).unwrap());
            };
            match event {
                Event::Granted(lease) => {
                    invocation_of.insert(lease.id, lease.invocation);
                    naive.entry(lease.invocation).or_default().push((lease.id, "running", None, false));
                }
                Event::Settled { lease, settlement, .. } => {
                    let cost = Some(settlement.cost.picodollars());
                    attempt(lease.id, &|attempt| (attempt.1, attempt.2) = ("executed", cost));
                }
                Event::Ended { lease, how } => {
                    let how = match how {
                        merit_engine::Ending::NotSent => "not_sent",
                        merit_engine::Ending::Unknown => "unknown",
                        merit_engine::Ending::Expired => "expired",
                        merit_engine::Ending::NotTakenUp => "not_taken_up",
                        merit_engine::Ending::Closed => "closed",
                    };
                    attempt(lease.id, &|attempt| attempt.1 = how);
                }
                Event::Claimed { lease, .. } => attempt(*lease, &|attempt| attempt.3 = true),
                Event::BidRested(bid) => {
                    naive.entry(bid.id).or_default();
                    resting.insert(bid.id, "resting");
                }
                Event::BidGone { resting: bid, how } => {
                    resting.insert(
                        bid.id,
                        match how {
                            merit_engine::BidEnding::Matched => "matched",
                            merit_engine::BidEnding::Cancelled => "cancelled",
                            merit_engine::BidEnding::Expired => "expired",
                        },
                    );
                }
                _ => {}
            }
        }
        for (id, expected) in naive {
            let row = invocation(&transaction, id).unwrap().unwrap_or_else(|| panic!("seed {seed}: {id} is missing"));
            let found: Vec<Attempted> = row
                .attempts
                .iter()
                .map(|attempt| {
                    let state = attempt.state().as_str_name().trim_start_matches("ATTEMPT_STATE_").to_lowercase();
                    let state = ["running", "executed", "not_sent", "unknown", "expired", "not_taken_up", "closed"]
                        .into_iter()
                        .find(|known| *known == state)
                        .unwrap();
                    *kinds.entry(state).or_default() += 1;
                    let cost = attempt.settlement.as_ref().map(|settlement| settlement.cost);
                    (attempt.lease.unwrap().into(), state, cost, attempt.claim.is_some())
                })
                .collect();
            assert_eq!(found, expected, "seed {seed}: {id}");
            let bid = row
                .deferred
                .map(|deferred| deferred.state().as_str_name().trim_start_matches("DEFERRED_STATE_").to_lowercase());
            assert_eq!(bid.as_deref(), resting.get(&id).copied(), "seed {seed}: {id}");
            if let Some(state) = resting.get(&id) {
                *kinds.entry(state).or_default() += 1;
            }
        }
        assert_eq!(invocation(&transaction, LeaseId { run: 9, sequence: 9 }).unwrap(), None);
    }
    println!("{kinds:?}");
    for kind in
        ["running", "executed", "not_sent", "unknown", "expired", "not_taken_up", "closed", "resting", "cancelled"]
    {
        assert!(kinds.contains_key(kind), "no {kind} in {kinds:?}");
    }
}

/// Returns the account and id of each invocation, in the order of their first events.
fn begun(happened: &[Happened]) -> Vec<(AccountId, LeaseId)> {
    let mut begun: Vec<(AccountId, LeaseId)> = Vec::new();
    for event in happened.iter().flat_map(|one| &one.events) {
        let one = match event {
            Event::BidRested(resting) => (resting.deferred.bid.account, resting.id),
            Event::Granted(lease) | Event::Settled { lease, .. } | Event::Ended { lease, .. } => {
                (lease.account, lease.invocation)
            }
            _ => continue,
        };
        // The random world also settles forgotten leases by terms that no exchange would have proven.
        if begun.iter().all(|(_, id)| *id != one.1) {
            begun.push(one);
        }
    }
    begun
}

#[test]
fn invocations_are_listed_by_account_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    let (_, happened) = world(30);
    let store = stored(&dir.path().join("archive"), &happened);
    let transaction = read(&store);
    let begun = begun(&happened);
    let accounts: std::collections::BTreeSet<AccountId> = begun.iter().map(|(account, _)| *account).collect();
    assert!(accounts.len() > 1 && begun.len() > 100);
    for account in accounts {
        let of_account = begun.iter().rev().filter(|(owner, _)| *owner == account);
        let expected: Vec<LeaseId> = of_account.map(|(_, id)| *id).collect();
        for limit in [1, 7, ALL] {
            let (mut listed, mut before) = (Vec::new(), None);
            loop {
                let span = Span { before, ..Span::default() };
                let page = invocations(&transaction, (account, None), span, limit, |_| true).unwrap();
                listed.extend(page.rows.iter().map(|(id, _)| *id));
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
            // Those of one command come together, the last first.
            assert_eq!(listed, expected, "{account:?}, pages of {limit}");
        }
        let functions: std::collections::BTreeSet<u32> =
            expected.iter().map(|id| invocation(&transaction, *id).unwrap().unwrap().function).collect();
        let of_functions = functions.iter().map(|function| {
            let asked = (account, Some(merit_terms::FunctionId::new(*function)));
            invocations(&transaction, asked, Span::default(), ALL, |row| row.function == *function).unwrap().rows.len()
        });
        assert_eq!(of_functions.sum::<usize>(), expected.len());
    }
}

#[test]
fn a_log_is_kept_beside_the_call_that_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut happened) = world(31);
    let settled = |one: &Happened| {
        let lease = one.events.iter().find_map(|event| match event {
            Event::Settled { lease, .. } => Some(lease.clone()),
            _ => None,
        });
        lease.map(|lease| (lease.id, lease.account, lease.function, lease.invocation))
    };
    let mut logged = Vec::new();
    for one in &mut happened {
        let Some((lease, account, function, invocation)) = settled(one) else { continue };
        let log = (lease.sequence % 3 > 0).then(|| CallLog { lease, text: format!("call {lease}").into_bytes() });
        one.log.clone_from(&log);
        logged.push((account, function, invocation, log.map(|log| log.text)));
    }
    // A command that settles two calls, as one does when a claim is due: the log is of its own.
    let mut both: Vec<&Happened> = Vec::new();
    for one in happened.iter().filter(|one| settled(one).is_some()) {
        if both.iter().all(|other| settled(other).unwrap().1 != settled(one).unwrap().1) {
            both.push(one);
        }
    }
    let (due, own) = (both[0], both[1]);
    let log = Some(CallLog { lease: settled(own).unwrap().0, text: b"its own".to_vec() });
    let last = happened.last().unwrap();
    let events = due.events.iter().chain(&own.events).filter(|event| matches!(event, Event::Settled { .. })).cloned();
    let (sequence, at, events) = (last.sequence + 1, last.at, events.collect());
    let other = settled(due).unwrap().1;
    let again = [due, own].map(|one| settled(one).unwrap().3);
    happened.push(Happened { sequence, at, events, spots: Vec::new(), log });

    let store = stored(&dir.path().join("archive"), &happened);
    let transaction = read(&store);
    let all = |account| logs(&transaction, account, None, Span::default(), ALL).unwrap().rows;
    assert!(all(other).iter().all(|log| log.row.log != b"its own"));
    // The world gives every settlement a log, also that of a claim: only a call that was settled once has one answer.
    let is_settled_once = |id: &LeaseId| logged.iter().filter(|(_, _, other, _)| other == id).count() == 1;
    let once = logged.iter().filter(|(_, _, id, _)| !again.contains(id) && is_settled_once(id));
    for (account, function, id, text) in once {
        let page = logs(&transaction, *account, Some(*function), Span::default(), ALL).unwrap();
        let of_call = page.rows.iter().find(|row| row.row.invocation.map(LeaseId::from) == Some(*id));
        let Some(text) = text else { continue };
        assert_eq!(&of_call.unwrap().row.log, text);
        let record = invocation(&transaction, *id).unwrap().unwrap();
        // The random world also settles forgotten leases by the terms of another account.
        if (record.account, record.function) == (account.number(), function.number()) {
            assert_eq!(&super::super::logs::of_invocation(&transaction, &record).unwrap(), text);
        }
    }
}
