//! Whether every byte of a data directory is right, and whether each snapshot is what the journal gives.
//!
//! Owns the verdict on each snapshot. Damage is no error here: it is what is looked for.

use std::collections::BTreeMap;
use std::path::Path;

use merit_engine::{Command, Engine, Event};

use super::{HistoryError, Replayed, oldest, replay_from};
use crate::sequencer::chain;
use crate::snapshot::{self, Damage, Header, LoadError};
use merit_journal::storage::{Directory, Storage};
use merit_journal::{self as journal, Report};

/// What all of a data directory comes to.
#[derive(Debug)]
pub struct Verified {
    /// The state at the journal's end.
    pub engine: Engine,
    pub report: Report,
    /// The sequence of the snapshot from which the replay began; 0: from the beginning of the journal. None: nothing
    /// could be replayed, because the journal no longer reaches back and no snapshot is good.
    pub began_after: Option<u64>,
    pub snapshots: Vec<SnapshotCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotCheck {
    pub sequence: u64,
    pub header: Option<Header>,
    pub verdict: Verdict,
}

/// What became of a snapshot's check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte is right, and the replay of the journal gives the same state.
    Sound,
    /// Every byte is right; the journal does not reach back to give that state.
    Alone,
    Damaged(Damage),
    /// Whole, and the replay gives another digest.
    Differs {
        replayed: u128,
    },
    /// Of another journal.
    OtherJournal,
    /// Of a sequence that the journal does not have.
    Ahead,
    /// It cannot be read by this release, or at all.
    Unreadable(String),
}

impl Verdict {
    /// Whether there is nothing wrong with it.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Verdict::Sound | Verdict::Alone)
    }
}

/// Checks every byte of a data directory's journal and snapshots, replays all that it holds, and compares each snapshot
/// with the replay. Every command with its events is shown to `visit`.
pub fn verify(data_dir: &Path, mut visit: impl FnMut(u64, &Command, &[Event])) -> Result<Verified, HistoryError> {
    let storage = Directory::existing(data_dir);
    let listed = snapshot::list(&storage)?;
    let mut digests = BTreeMap::new();
    let replayed = oldest(&storage).and_then(|engine| {
        digests.insert(engine.sequence(), engine.digest());
        replay_from(&storage, engine, u64::MAX, |engine, sequence, command, events| {
            if listed.binary_search(&sequence).is_ok() {
                digests.insert(sequence, engine.digest());
            }
            visit(sequence, command, events);
        })
    });
    let (engine, report, began_after) = match replayed {
        Ok(Replayed { engine, report, began_after }) => (engine, report, Some(began_after)),
        Err(HistoryError::NoStart { .. }) => (Engine::new(), journal::verify(&storage)?, None),
        Err(error) => return Err(error),
    };
    let check = |sequence| check(&storage, sequence, &report, &digests);
    let snapshots = listed.iter().copied().filter_map(check).collect();
    Ok(Verified { engine, report, began_after, snapshots })
}

/// None if the snapshot is gone: a process that goes on makes room.
fn check<S: Storage>(
    storage: &S,
    sequence: u64,
    report: &Report,
    digests: &BTreeMap<u64, u128>,
) -> Option<SnapshotCheck> {
    let loaded = snapshot::load(storage, sequence);
    let header = loaded.as_ref().ok().map(|loaded| loaded.header);
    let verdict = match loaded.map(|loaded| loaded.header) {
        Ok(header) if report.identity.is_some_and(|identity| identity != header.identity) => Verdict::OtherJournal,
        Ok(_) if report.damage.is_none() && report.contents.last_sequence.unwrap_or(0) < sequence => Verdict::Ahead,
        Ok(header) => match digests.get(&sequence) {
            Some(replayed) if *replayed == header.digest => Verdict::Sound,
            Some(replayed) => Verdict::Differs { replayed: *replayed },
            None => Verdict::Alone,
        },
        Err(LoadError::Damaged(damage)) => Verdict::Damaged(damage),
        Err(error) if error.is_missing() => return None,
        Err(error) => Verdict::Unreadable(chain(&error)),
    };
    Some(SnapshotCheck { sequence, header, verdict })
}
