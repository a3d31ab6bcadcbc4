//! The retention: by age, and the oldest rows of the longest owners where there are too many.

use merit_terms::{Money, Time};
use redb::{Database, Durability, ReadableDatabase};

use super::super::log::{Keep, Log, Span};
use crate::sequencer::Happened;
use crate::world::World;

const DAY_US: u64 = 86_400_000_000;

/// Checks the retention of a log of `lengths[owner]` rows an owner, one a sequence and an hour.
fn check(lengths: &[u64], keep: Keep, now_hours: u64, left: &[(u64, u64)]) {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::create(dir.path().join("log")).unwrap();
    let mut log = Log::new("rows", "lengths");
    for (owner, length) in (0..).zip(lengths) {
        for sequence in 0..*length {
            log.push(owner, sequence, 0, Time::from_micros(sequence * DAY_US / 24), vec![1, 2, 3]);
        }
    }
    let transaction = database.begin_write().unwrap();
    log.write(&transaction).unwrap();
    log.retain(&transaction, Time::from_micros(now_hours * DAY_US / 24), keep).unwrap();
    // Once more: what may stay stays.
    log.retain(&transaction, Time::from_micros(now_hours * DAY_US / 24), keep).unwrap();
    transaction.commit().unwrap();
    let transaction = database.begin_read().unwrap();
    for (owner, (first, count)) in (0..).zip(left) {
        let page = log.page(&transaction, owner, Span::default(), usize::MAX).unwrap();
        let found = (page.last().map_or(0, |entry| entry.sequence), page.len() as u64);
        assert_eq!(found, (*first, *count), "owner {owner} of {lengths:?}");
    }
}

#[test]
fn nothing_goes_while_there_is_room() {
    check(&[100, 3, 7], Keep { days: 1_000, rows: 110 }, 100, &[(0, 100), (0, 3), (0, 7)]);
}

#[test]
fn the_longest_give_way_first() {
    check(&[100, 3, 7], Keep { days: 1_000, rows: 109 }, 100, &[(1, 99), (0, 3), (0, 7)]);
    check(&[100, 80, 7], Keep { days: 1_000, rows: 47 }, 100, &[(80, 20), (60, 20), (0, 7)]);
    check(&[100, 80, 7], Keep { days: 1_000, rows: 3 }, 100, &[(99, 1), (79, 1), (6, 1)]);
}

#[test]
fn what_is_past_its_age_goes_however_little_there_is() {
    check(&[100, 30], Keep { days: 1, rows: 1_000 }, 100, &[(76, 24), (0, 0)]);
    check(&[100, 30], Keep { days: 2, rows: 1_000 }, 70, &[(22, 78), (22, 8)]);
}

#[test]
fn an_empty_log_is_left_alone() {
    check(&[], Keep { days: 1, rows: 1 }, 100, &[]);
}

#[test]
fn what_still_goes_on_is_kept_beyond_its_age() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(70);
    let mut happened = world.run(3_000);
    // Something goes on in the end.
    while world.engine.open_leases().all(|lease| lease.state == merit_engine::LeaseState::Unknown) {
        happened.extend(world.run(10));
    }
    let mut store = super::stored(&dir.path().join("archive"), &happened);
    let before = super::dump(&store);
    let records = |rows: &std::collections::BTreeMap<String, String>| {
        rows.keys().filter(|key| key.starts_with("invocations (")).count()
    };
    // A year on, one more thing happens: everything is past its age then, but for what had not ended.
    let last = happened.pop().unwrap();
    let later = Happened {
        sequence: last.sequence + 1,
        at: Time::from_micros(last.at.micros() + 365 * DAY_US),
        events: vec![merit_engine::Event::Moved {
            from: merit_engine::OUTSIDE,
            to: merit_engine::FEES,
            amount: Money::ZERO,
            why: merit_engine::Why::Deposit,
        }],
        spots: Vec::new(),
        log: None,
    };
    store.apply(&later);
    store.retain(Durability::Immediate).unwrap();
    let after = super::dump(&store);
    let open = world.engine.open_leases().filter(|lease| lease.state != merit_engine::LeaseState::Unknown);
    let invocations: std::collections::BTreeSet<_> = open.map(|lease| lease.invocation).collect();
    let resting = world.engine.resting().filter(|bid| !invocations.contains(&bid.id)).count();
    assert_eq!(records(&after), invocations.len() + resting);
    assert!(records(&after) > 0 && records(&before) > records(&after));
    // Trades go after a quarter of a year, lines after more than one; day candles stay.
    let count = |rows: &std::collections::BTreeMap<String, String>, table: &str| {
        rows.keys().filter(|key| key.starts_with(table)).count()
    };
    assert_eq!(count(&after, "trades ("), 0);
    assert_eq!(count(&after, "lines ("), count(&before, "lines (") + 2);
    assert_eq!(count(&after, "candles (0") + count(&after, "candles (1"), 0);
    assert_eq!(count(&after, "candles (3"), count(&before, "candles (3"));
    assert!(count(&before, "candles (3") > 0);
}
