//! The disk with faults: the bytes and names that survive a crash, and a journal on it that keeps its promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use merit_engine::{Command, Engine, Event, Reply};
use merit_exchange::{Clock, Happened, Projection, Sequencer, restore};
use merit_journal::storage::{Storage, StorageFile};
use merit_sim::faults::{Disk, Rates};
use merit_terms::Money;

const SEEDS: u64 = 200;

/// Writes two sectors of 1, syncs, and writes two of 2 over the second. Returns the bytes after a crash.
fn after_crash(seed: u64, act: impl FnOnce(&Disk)) -> Option<Vec<u8>> {
    let disk = Disk::new(seed);
    let file = disk.create("file").unwrap();
    file.write_at(0, &[1; 1024]).unwrap();
    file.sync().unwrap();
    disk.sync_names().unwrap();
    act(&disk);
    disk.restart();
    assert!(file.sync().is_err(), "a file that was open before the crash is of no use");
    disk.bytes("file")
}

#[test]
fn synced_bytes_survive_and_unsynced_ones_in_part() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let bytes = after_crash(seed, |disk| disk.open_to_write("file").unwrap().write_at(512, &[2; 1024]).unwrap());
        let bytes = bytes.unwrap();
        assert_eq!(bytes[..512], [1; 512]);
        let kept = |sector: &[u8]| sector.iter().filter(|byte| **byte == 2).count();
        found.insert((bytes.len(), kept(&bytes[512..1024]), kept(bytes.get(1024..).unwrap_or_default())));
    }
    for expected in [(1024, 0, 0), (1024, 512, 0), (1536, 0, 512), (1536, 512, 512), (1536, 0, 0)] {
        assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
    }
    assert!(found.iter().any(|(_, kept, _)| (1..512).contains(kept)), "no sector was torn");
}

#[test]
fn a_later_sync_does_not_repair_a_failed_one() {
    let lost = (0..SEEDS).any(|seed| {
        let bytes = after_crash(seed, |disk| {
            let file = disk.open_to_write("file").unwrap();
            file.write_at(0, &[2; 1024]).unwrap();
            disk.set_rates(Rates { sync: 10_000, ..Rates::default() });
            file.sync().unwrap_err();
            disk.set_rates(Rates::default());
            file.sync().unwrap();
            let mut seen = [0; 1024];
            assert_eq!((file.read_at(0, &mut seen).unwrap(), seen), (1024, [2; 1024]));
        });
        bytes.unwrap().contains(&1)
    });
    assert!(lost, "a failed sync lost nothing");
}

#[test]
fn synced_names_survive_and_unsynced_ones_in_their_order() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let disk = Disk::new(seed);
        disk.create("first").unwrap();
        disk.sync_names().unwrap();
        disk.create("second").unwrap();
        disk.rename("first", "third").unwrap();
        disk.remove("second").unwrap();
        disk.restart();
        found.insert(disk.list().unwrap().join(" "));
    }
    assert_eq!(found, ["first", "first second", "second third", "third"].map(str::to_owned).into());
}

#[test]
fn the_same_seed_meets_the_same_faults() {
    let run = |seed| {
        let disk = Disk::new(seed);
        disk.set_rates(Rates { read: 2000, write: 2000, sync: 2000, name: 2000 });
        let results: Vec<bool> = (0..200).map(|number| disk.create(&format!("file-{number}")).is_ok()).collect();
        (results, disk.faults())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[derive(Default)]
struct Deposits(Mutex<BTreeSet<u64>>);

impl Projection for Deposits {
    fn checkpoint(&self) -> u64 {
        u64::MAX
    }

    fn begin(&self, _engine: &Engine) {}

    fn apply(&self, happened: &mut Vec<Happened>) {
        let moved = happened.iter().flat_map(|one| &one.events).filter_map(|event| match event {
            Event::Moved { amount, .. } => Some(amount.picodollars()),
            _ => None,
        });
        self.0.lock().unwrap().extend(moved);
    }
}

/// Deposits different amounts from many tasks at once until the disk fails. Returns the acknowledged amounts.
async fn deposit_until_it_fails(sequencer: &Arc<Sequencer>, first_amount: u64) -> BTreeSet<u64> {
    let account = match sequencer.read(|engine| engine.find_account("dev")) {
        Some(account) => account,
        None => match sequencer
            .submit(&Command::OpenAccount { name: "dev".parse().unwrap() })
            .map(|done| done.applied.reply)
        {
            Ok(Ok(Reply::Account(account))) => account,
            _ => return BTreeSet::new(),
        },
    };
    let tasks = (0..4_u64).map(|task| {
        let sequencer = sequencer.clone();
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0..500 {
                let picodollars = first_amount + task * 500 + number;
                let amount = Money::from_picodollars(picodollars).unwrap();
                let Ok(submitted) = sequencer.submit(&Command::Deposit { account, amount }) else { break };
                submitted.applied.reply.unwrap();
                if submitted.durable.wait().await.is_err() {
                    break;
                }
                acknowledged.push(picodollars);
            }
            acknowledged
        })
    });
    let mut all = BTreeSet::new();
    for task in tasks.collect::<Vec<_>>() {
        all.extend(task.await.unwrap());
    }
    all
}

/// Runs the sequencer with its thread, many submitters, and a disk that stops or fails in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_commands_are_there_after_the_disk_failed() {
    let (mut acknowledged_in_all, mut cut_short) = (0, 0);
    for seed in 0..60 {
        println!("seed {seed}");
        let disk = Disk::new(seed);
        let mut acknowledged = BTreeSet::new();
        for life in 0..4 {
            let deposits = Arc::new(Deposits::default());
            let settings = merit_journal::Settings { segment_bytes: 4096 };
            let restored = restore(disk.clone(), settings, &*deposits).unwrap();
            assert!(acknowledged.is_subset(&deposits.0.lock().unwrap()), "seed {seed}, life {life}");
            let clock = Clock::begin(restored.engine.last_at(), None);
            let sequencer = Arc::new(Sequencer::start(restored.engine, restored.journal, deposits, clock).unwrap());
            match seed % 3 {
                0 => disk.crash_after(10 + seed * 5 % 200),
                1 => disk.set_rates(Rates { write: 50, sync: 50, ..Rates::default() }),
                _ => disk.crash_after(400 + seed % 100),
            }
            let now = deposit_until_it_fails(&sequencer, 1 + life * 2000).await;
            cut_short += u64::from(now.len() < 2000);
            acknowledged_in_all += now.len();
            acknowledged.extend(now);
            sequencer.close();
            disk.set_rates(Rates::default());
            disk.restart();
        }
    }
    println!("{acknowledged_in_all} acknowledged, {cut_short} lives cut short");
    assert!(acknowledged_in_all > 1000 && cut_short > 60);
}
