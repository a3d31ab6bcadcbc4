//! Tests of starts against real files: from the beginning, from each snapshot, past a damaged one; and the refusals.

use std::fs;
use std::sync::Mutex;

use merit_engine::Command;

use super::*;
use crate::recorded::{Market, SEGMENTS, record};
use merit_journal::storage::Directory;

/// The record of a projection: the state that it began with, and the sequences after it.
#[derive(Default)]
struct Told {
    checkpoint: Option<u64>,
    began: Mutex<Vec<u64>>,
    applied: Mutex<Vec<u64>>,
}

impl Projection for Told {
    fn checkpoint(&self) -> u64 {
        self.checkpoint.unwrap_or(u64::MAX)
    }

    fn begin(&self, engine: &Engine) {
        self.began.lock().unwrap().push(engine.sequence());
    }

    fn apply(&self, happened: &mut Vec<Happened>) {
        self.applied.lock().unwrap().extend(happened.iter().map(|one| one.sequence));
    }
}

/// The directory of a market whose process has ended, and its digests by sequence.
struct Ended {
    directory: tempfile::TempDir,
    digests: Vec<u128>,
}

impl Ended {
    fn of(market: Market) -> Ended {
        let (directory, digests) = market.end();
        Ended { directory, digests }
    }

    fn with(commands: u64, snapshots: &[u64]) -> Ended {
        let market = Market::with(commands);
        for upto in snapshots {
            market.make(*upto).unwrap();
        }
        Ended::of(market)
    }

    fn restore(&self, told: &Told) -> Result<Restored<Directory>, RestoreError> {
        restore(Directory::existing(self.directory.path()), SEGMENTS, told)
    }

    /// Restores with success: the last digest, and the projection sees all commands after `after`.
    fn check(&self, told: &Told, after: u64) -> Restored<Directory> {
        let last = self.digests.len() as u64 - 1;
        let restored = self.restore(told).unwrap();
        assert_eq!(restored.engine.digest(), self.digests[last as usize]);
        assert_eq!((restored.replayed_after, restored.journal.next_sequence()), (after, last + 1));
        assert_eq!(*told.began.lock().unwrap(), [after]);
        assert_eq!(*told.applied.lock().unwrap(), (after + 1..=last).collect::<Vec<u64>>());
        restored
    }

    fn refusal(&self) -> String {
        let before = contents(&self.directory);
        let error = self.restore(&Told::default()).err().unwrap().to_string();
        assert!(contents(&self.directory) == before, "a refused start changed the directory: {error}");
        error
    }

    fn snapshot(&self, sequence: u64) -> std::path::PathBuf {
        self.directory.path().join(format!("snapshot-{sequence:020}.merit"))
    }

    fn flip(&self, sequence: u64, position: usize) {
        let mut bytes = fs::read(self.snapshot(sequence)).unwrap();
        bytes[position] ^= 1;
        fs::write(self.snapshot(sequence), bytes).unwrap();
    }

    /// Removes the journal's first segment. Returns the first sequence of the next.
    fn remove_first_segment(&self) -> u64 {
        let storage = Directory::existing(self.directory.path());
        let second = journal::segments(&storage).unwrap()[1].first_sequence;
        assert_eq!(journal::trim(&storage, second).unwrap(), 1);
        second
    }
}

fn contents(directory: &tempfile::TempDir) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.filter(|path| !path.ends_with("lock")).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_start_from_any_snapshot_gives_the_replays_digest() {
    Ended::with(300, &[]).check(&Told::default(), 0);
    Ended::with(300, &[100, 200]).check(&Told::default(), 200);
    Ended::with(300, &[100, 300]).check(&Told::default(), 300);
}

#[test]
fn a_start_begins_where_the_projections_can_go_on_from() {
    let ended = Ended::with(300, &[100, 200]);
    for (checkpoint, after) in [(99, 0), (100, 100), (199, 100), (200, 200), (250, 200)] {
        ended.check(&Told { checkpoint: Some(checkpoint), ..Told::default() }, after);
    }
}

#[test]
fn a_damaged_snapshot_is_set_aside_for_the_one_before() {
    let ended = Ended::with(300, &[100, 200]);
    ended.flip(200, 1000);
    let damaged = ended.check(&Told::default(), 100).damaged;
    let [damage] = &damaged[..] else { panic!("{damaged:?}") };
    assert_eq!(damage.to_string(), format!("snapshot-{:020}.merit, byte 64: a chunk fails its checksum", 200));
    assert!(!ended.snapshot(200).exists() && ended.snapshot(200).with_extension("merit.damaged").exists());
    assert!(ended.check(&Told::default(), 100).damaged.is_empty());
}

#[test]
fn without_a_good_snapshot_the_whole_journal_is_replayed() {
    let ended = Ended::with(300, &[100, 200]);
    ended.flip(100, 5);
    ended.flip(200, 70);
    assert_eq!(ended.check(&Told::default(), 0).damaged.len(), 2);
}

#[test]
fn a_journal_that_begins_late_needs_a_snapshot() {
    let ended = Ended::with(600, &[200, 400]);
    let first = ended.remove_first_segment();
    assert!((2..200).contains(&first), "{first}");
    ended.check(&Told::default(), 400);
    ended.check(&Told { checkpoint: Some(0), ..Told::default() }, 200);
    ended.flip(400, 70);
    ended.flip(200, 71);
    let error = ended.refusal();
    for part in [
        &format!("begins at sequence {first}, and no snapshot reaches it"),
        "00200.merit, byte 64: a chunk fails",
        "00400.merit, byte 64: a chunk fails",
        "restore the directory from a copy, or run `merit journal inspect`",
    ] {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn a_journal_that_ends_before_its_newest_snapshot_is_refused() {
    let market = Market::with(50);
    let storage = market.storage();
    market.make(50).unwrap();
    let ended = Ended::of(market);
    // The last batch is gone.
    let path = ended.directory.path().join("journal-0000000001.segment");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(journal::verify(&storage).unwrap().damage.is_some());
    let error = ended.refusal();
    assert!(error.contains("a snapshot of sequence 50, but the journal ends at 49"), "{error}");
    fs::remove_file(ended.snapshot(50)).unwrap();
    assert_eq!(ended.restore(&Told::default()).unwrap().engine.digest(), ended.digests[49]);
}

#[test]
fn a_snapshot_of_another_journal_is_refused() {
    let ended = Ended::with(100, &[50]);
    let other = Ended::with(100, &[60]);
    fs::copy(other.snapshot(60), ended.snapshot(60)).unwrap();
    let error = ended.refusal();
    assert!(error.contains("snapshot of sequence 60") && error.contains("belongs to another journal"), "{error}");
}

#[test]
fn unknown_rules_are_refused_with_the_way_out() {
    let market = Market::with(100);
    market.make(90).unwrap();
    let ended = Ended::of(market);
    let sound = fs::read(ended.snapshot(90)).unwrap();
    for rules in [9, u32::MAX] {
        let mut bytes = sound.clone();
        bytes[28..32].copy_from_slice(&rules.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        fs::write(ended.snapshot(90), bytes).unwrap();
        let error = ended.refusal();
        assert!(error.contains(&format!("rules {rules} of the market")), "{error}");
        assert!(error.contains("start the merit release that wrote it"), "{error}");
    }
}

#[test]
fn a_journaled_change_to_unknown_rules_is_refused() {
    let mut market = Market::with(10);
    let mut batch = journal::Batch::starting_at(11);
    batch.push(&record(market.engine.last_at(), &Command::ActivateRules { version: 9 }));
    market.journal.append(&mut batch).unwrap();
    let ended = Ended::of(market);
    let error = ended.restore(&Told::default()).err().unwrap();
    let told = crate::error_chain::chain(&error);
    assert!(told.contains("record 11") && told.contains("rules 9 of the market"), "{told}");
    assert!(told.contains("start the merit release that wrote it"), "{told}");
}
