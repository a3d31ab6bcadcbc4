//! The keeper beside a real journal: from nothing, behind, on damaged files and on those of other journals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use merit_terms::{AccountId, MarketId};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;

use super::super::feed::Feed;
use super::super::keeper::{FILE, Keeper, SET_ASIDE};
use super::super::log::Span;
use super::super::store::{Checkpoint, Store};
use super::super::{Archive, ArchiveError};
use super::{dump, expected, stored};
use crate::sequencer::Happened;
use crate::snapshot;
use crate::world::World;
use merit_journal::storage::Directory;
use merit_journal::{self as journal, Batch, Journal};

/// A data directory with a journal of a world.
struct Place {
    dir: tempfile::TempDir,
    world: World,
    journal: Option<Journal<Directory>>,
    /// All events so far.
    happened: Vec<Happened>,
}

impl Place {
    fn new(seed: u64, commands: usize) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Place { dir, world: World::new(seed), journal: None, happened: Vec::new() };
        place.open();
        place.happen(commands);
        place
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    fn open(&mut self) {
        let storage = Directory::existing(self.dir.path());
        let settings = journal::Settings { segment_bytes: 1 << 14 };
        self.journal = Some(Journal::open(storage, settings, |_, _| Ok(())).unwrap().0);
    }

    /// Journals some further commands, in one batch. Returns their events.
    fn happen(&mut self, commands: usize) -> &[Happened] {
        let first = self.world.records.len();
        let happened = self.world.run(commands);
        let mut batch = Batch::starting_at(first as u64 + 1);
        for record in &self.world.records[first..] {
            batch.push(record);
        }
        if !happened.is_empty() {
            self.journal.as_mut().unwrap().append(&mut batch).unwrap();
        }
        let before = self.happened.len();
        self.happened.extend(happened);
        &self.happened[before..]
    }

    fn sequence(&self) -> u64 {
        self.world.engine.sequence()
    }

    /// Starts an archive with a queue of at most `capacity` commands.
    fn archive(&self, capacity: usize) -> Running {
        let archive = Archive { feed: Arc::new(Feed::new(capacity)), keeper: Mutex::default() };
        let safe = Arc::new(AtomicU64::new(0));
        let opened_at = Checkpoint { sequence: self.sequence(), at: self.world.engine.last_at() };
        let before_last_batch = {
            let safe = safe.clone();
            Box::new(move || safe.load(Ordering::Relaxed))
        };
        let (feed, data_dir) = (archive.feed.clone(), self.dir.path().to_owned());
        archive.spawn(Keeper { feed, data_dir, opened_at, before_last_batch }).unwrap();
        Running { archive, safe, opened_at: opened_at.sequence }
    }

    /// Starts an archive, waits until it has everything, and closes it. Returns the rows of its file.
    async fn made(&self) -> BTreeMap<String, String> {
        let running = self.archive(1 << 16);
        running.archive.lines(AccountId::new(0), Span::default(), 1).await.unwrap();
        running.archive.close();
        assert_eq!(running.archive.checkpoint(), running.opened_at);
        dump(&Store::open(&self.path()).unwrap())
    }
}

struct Running {
    archive: Archive,
    /// The journal cannot be cut up to here.
    safe: Arc<AtomicU64>,
    opened_at: u64,
}

/// Copies events, to be taken by an archive.
fn again(happened: &[Happened]) -> Vec<Happened> {
    let same = |one: &Happened| Happened {
        sequence: one.sequence,
        at: one.at,
        events: one.events.clone(),
        spots: one.spots.clone(),
        log: one.log.clone(),
    };
    happened.iter().map(same).collect()
}

#[tokio::test]
async fn an_archive_is_made_from_the_journal() {
    let place = Place::new(80, 3_000);
    assert!(place.made().await == expected(&place.happened));
    assert!(!place.dir.path().join(SET_ASIDE).exists());
    // And goes on from its checkpoint without another look.
    assert!(place.made().await == expected(&place.happened));
}

#[tokio::test]
async fn what_was_durable_when_one_asks_is_found() {
    let mut place = Place::new(81, 600);
    let running = place.archive(1 << 16);
    let mut trades = 0;
    for _ in 0..150 {
        let happened = again(place.happen(7));
        let last_trade = happened.iter().rev().find_map(|one| {
            let settled = |event: &merit_engine::Event| match event {
                merit_engine::Event::Settled { lease, .. } if !lease.private => Some(lease.market),
                _ => None,
            };
            Some((one.sequence, one.events.iter().rev().find_map(settled)?))
        });
        running.archive.take(happened);
        if let Some((sequence, market)) = last_trade {
            let found = running.archive.trades(market, Span::default(), 1).await.unwrap();
            assert_eq!(found[0].sequence, sequence);
            trades += 1;
        }
    }
    assert!(trades > 10, "{trades} trades");
}

#[tokio::test]
async fn a_full_queue_costs_only_another_reading_of_the_journal() {
    let mut place = Place::new(82, 500);
    let running = place.archive(10);
    for commands in [3, 900, 1, 2_000, 50, 12, 700] {
        let happened = again(place.happen(commands));
        running.archive.take(happened);
        if commands % 2 == 0 {
            running.archive.trades(MarketId::new(0), Span::default(), 1).await.unwrap();
        }
    }
    running.archive.trades(MarketId::new(0), Span::default(), 1).await.unwrap();
    running.safe.store(u64::MAX, Ordering::Relaxed);
    running.archive.close();
    assert_eq!(running.archive.checkpoint(), place.sequence());
    assert!(dump(&Store::open(&place.path()).unwrap()) == expected(&place.happened));
}

#[tokio::test]
async fn rows_of_the_last_batch_are_readable_and_not_durable() {
    let mut place = Place::new(83, 2_000);
    let running = place.archive(1 << 16);
    let opened_at = place.sequence();
    running.archive.take(again(place.happen(100)));
    let safe = place.sequence();
    running.safe.store(safe, Ordering::Relaxed);
    running.archive.take(again(place.happen(100)));
    running.archive.close();
    assert!(safe > opened_at && place.sequence() > safe);
    assert_eq!(running.archive.checkpoint(), safe);
    assert_eq!(Store::open(&place.path()).unwrap().furthest().sequence, safe);
}

#[tokio::test]
async fn a_closed_archive_says_so() {
    let place = Place::new(84, 100);
    let running = place.archive(1 << 16);
    running.archive.close();
    let asked = running.archive.trades(MarketId::new(0), Span::default(), 1).await;
    assert!(matches!(asked, Err(ArchiveError::Failed(_))));
}

#[tokio::test]
async fn a_file_that_is_no_archive_is_set_aside() {
    let place = Place::new(85, 1_500);
    let whole = expected(&place.happened);
    let other = tempfile::tempdir().unwrap();
    let foreign_database = other.path().join("foreign");
    let database = redb::Database::create(&foreign_database).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u64, u64>::new("checkpoints")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let contents: [(&str, Vec<u8>); 3] = [
        ("text", b"this is no database, only some text that somebody put here".repeat(100)),
        ("zeros", vec![0; 1 << 16]),
        ("another database", std::fs::read(&foreign_database).unwrap()),
    ];
    for (what, bytes) in contents {
        std::fs::write(place.path(), &bytes).unwrap();
        assert!(place.made().await == whole, "{what}");
        assert_eq!(std::fs::read(place.dir.path().join(SET_ASIDE)).unwrap().len(), bytes.len(), "{what}");
    }
}

#[tokio::test]
async fn a_damaged_file_never_shows_in_what_is_read() {
    let place = Place::new(86, 1_500);
    let whole = place.made().await;
    let good = std::fs::read(place.path()).unwrap();
    let mut chance = Pcg32::seed_from_u64(86);
    let mut set_aside = 0;
    for round in 0..60 {
        let mut bytes = good.clone();
        let position = chance.random_range(0..bytes.len());
        let what = match round % 3 {
            0 => {
                bytes.truncate(position);
                "cut off"
            }
            1 => {
                bytes[position] ^= 1 << chance.random_range(0..8);
                "one bit"
            }
            _ => {
                let end = (position + 4096).min(bytes.len());
                bytes[position..end].fill(0xA5);
                "a page"
            }
        };
        std::fs::write(place.path(), &bytes).unwrap();
        assert!(place.made().await == whole, "{what} at {position}");
        if place.dir.path().join(SET_ASIDE).exists() {
            std::fs::remove_file(place.dir.path().join(SET_ASIDE)).unwrap();
            set_aside += 1;
        }
    }
    assert!(set_aside > 30, "{set_aside} of 60 were found");
}

#[tokio::test]
async fn the_archive_of_another_journal_is_set_aside() {
    let place = Place::new(87, 1_500);
    let whole = expected(&place.happened);
    let mut shorter = Place::new(88, 300);
    shorter.made().await;
    let mut longer = Place::new(89, 4_000);
    longer.made().await;
    for other in [&mut shorter, &mut longer] {
        std::fs::copy(other.path(), place.path()).unwrap();
        assert!(place.made().await == whole);
        std::fs::remove_file(place.dir.path().join(SET_ASIDE)).unwrap();
    }
}

#[tokio::test]
async fn a_new_archive_begins_where_the_journal_does() {
    let mut place = Place::new(90, 2_000);
    let storage = Directory::existing(place.dir.path());
    let identity = place.journal.as_ref().unwrap().identity();
    snapshot::write(&storage, identity, &place.world.engine).unwrap();
    let (at, balances) = (place.sequence(), balances(&place.world));
    let going_on = place.world.engine.open_leases().count();
    for _ in 0..20 {
        place.happen(50);
    }
    journal::trim(&storage, at + 1).unwrap();
    assert!(journal::segments(&storage).unwrap()[0].first_sequence > 1);

    let running = place.archive(1 << 16);
    for (id, before) in balances {
        let mut lines = running.archive.lines(id, Span::default(), usize::MAX).await.unwrap();
        lines.reverse();
        let mut balance = before;
        for line in lines {
            assert!(line.sequence > at);
            balance += line.amount();
            assert_eq!(line.balance(), balance);
        }
        assert_eq!(balance, place.world.engine.account(id).unwrap().balance.picodollars());
    }
    assert!(going_on > 0);
    let open = place.world.engine.open_leases().map(|lease| lease.invocation);
    for id in open.collect::<Vec<_>>() {
        assert!(running.archive.invocation(id).await.unwrap().is_some(), "{id} is missing");
    }
    running.archive.close();

    // One that ends before the journal begins cannot go on, and gives way.
    let early: Vec<Happened> = again(&place.happened[..500]);
    std::fs::remove_file(place.path()).unwrap();
    drop(stored(&place.path(), &early));
    let running = place.archive(1 << 16);
    running.archive.trades(MarketId::new(0), Span::default(), 1).await.unwrap();
    assert!(place.dir.path().join(SET_ASIDE).exists());
    running.archive.close();
    assert!(Path::new(&place.path()).exists());
}

fn balances(world: &World) -> Vec<(AccountId, i128)> {
    world.engine.accounts().map(|(id, account)| (id, account.balance.picodollars())).collect()
}
