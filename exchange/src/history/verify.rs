//! Verification of a data directory: every byte is checked, and each snapshot compared with a replay of the journal.
//!
//! Owns the verdict on each snapshot. Damage is no error here but a finding.

use std::collections::BTreeMap;
use std::path::Path;

use merit_engine::{Command, Engine, Event};

use super::{HistoryError, Replayed, oldest, replay_from};
use crate::error_chain::chain;
use crate::snapshot::{self, Damage, Header, LoadError};
use merit_journal::storage::{Directory, Storage};
use merit_journal::{self as journal, Report};

/// The findings of a verification.
#[derive(Debug)]
pub struct Verified {
    /// The state at the journal's end.
    pub engine: Engine,
    pub report: Report,
    /// The sequence of the snapshot from which the replay began; 0 for the beginning of the journal. None if no replay
    /// was possible: the journal no longer reaches back, and no snapshot is good.
    pub began_after: Option<u64>,
    pub snapshots: Vec<SnapshotCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotCheck {
    pub sequence: u64,
    pub header: Option<Header>,
    pub verdict: Verdict,
}

/// The result of a snapshot's check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte is right, and the replay of the journal gives the same state.
    Sound,
    /// Every byte is right; the journal does not reach back to give that state.
    Alone,
    Damaged(Damage),
    /// Whole, but the replay gives another digest.
    Differs {
        replayed: u128,
    },
    /// Of another journal.
    OtherJournal,
    /// Of a sequence that the journal does not have.
    Ahead,
    /// Not readable by this release, or at all.
    Unreadable(String),
}

impl Verdict {
    /// Returns true if the check found no fault.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Verdict::Sound | Verdict::Alone)
    }
}

/// Checks every byte of a data directory's journal and snapshots, replays the journal, and compares each snapshot with
/// the replay. Gives every command with its events to `visit`.
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

/// Checks a snapshot. Returns none if it is gone: a running process removes old ones.
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
