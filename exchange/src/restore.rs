//! Restoring: the newest good snapshot and the journal after it give the state, and give the projections their events.
//!
//! Owns the beginning of the replay, and the refusals of a directory that cannot be continued. The journal is not
//! changed before the whole of it has been read and found sound.

use merit_engine::Engine;

use crate::replay::rules::{self, UnknownRules};
use crate::replay::{self, ReplayError};
use crate::sequencer::Happened;
use crate::sequencer::Projection;
use crate::snapshot::{self, Damage, LoadError, Loaded, Made};
use merit_journal::storage::{LockError, Storage};
use merit_journal::{self as journal, Journal, Recovery, Sound};

/// Commands replayed before the projection sees them.
const STRIDE: usize = 1024;

#[cfg(test)]
#[path = "../tests/unit/restore.rs"]
mod tests;

/// A directory that cannot be continued. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Journal(#[from] journal::OpenError),
    #[error(transparent)]
    Read(#[from] journal::ReadError),
    #[error(transparent)]
    Snapshot(#[from] LoadError),
    #[error("the directory {place} is not for this release: {source}")]
    Rules { place: String, source: UnknownRules },
    #[error(
        "the journal in {place} begins at sequence {first}, and no snapshot reaches it{}; restore the directory from a \
         copy, or run `merit journal inspect` on it to see what is there",
        damaged.iter().map(|damage| format!("; {damage}")).collect::<String>()
    )]
    NoStart { place: String, first: u64, damaged: Vec<Damage> },
    #[error(
        "in {place} there is a snapshot of sequence {snapshot}, but the journal ends at {last}: its newest part is \
         missing. Restore it from a copy; or go on without what came after sequence {last}: --accept-loss {last}"
    )]
    Behind { place: String, snapshot: u64, last: u64 },
    #[error(
        "the snapshot of sequence {snapshot} in {place} belongs to another journal; move it away, or bring its own"
    )]
    OtherJournal { place: String, snapshot: u64 },
}

/// A directory that is ready to be continued.
pub struct Restored<S: Storage> {
    pub engine: Engine,
    pub journal: Journal<S>,
    pub recovery: Recovery,
    /// Damaged snapshots that were set aside for an older one, or for the journal.
    pub damaged: Vec<Damage>,
    /// The sequence after which the journal was replayed.
    pub replayed_after: u64,
    pub made: Made,
}

/// Locks a directory for this process and brings engine and projection to the end of its journal.
pub fn restore<S: Storage + Clone>(
    storage: S,
    settings: journal::Settings,
    projection: &impl Projection,
) -> Result<Restored<S>, RestoreError> {
    let lock = storage.lock()?;
    let place = storage.to_string();
    let start = Start::find(&storage, projection.checkpoint())?;
    let Start { mut engine, snapshot_bytes, damaged } = start;
    projection.begin(&engine);

    let replayed_after = engine.sequence();
    let mut replayed_bytes = 0;
    let mut happened = Vec::new();
    let sound = Sound::read(storage.clone(), lock, |sequence, record| {
        if sequence <= replayed_after {
            return Ok(());
        }
        let mut events = Vec::new();
        let at = replay::step(&mut engine, sequence, record, &mut events).map_err(Box::<ReplayError>::from)?.at;
        replayed_bytes += record.len() as u64;
        happened.push(Happened { sequence, at, events, spots: Vec::new(), log: None });
        if happened.len() == STRIDE {
            projection.apply(&mut happened);
            happened.clear();
        }
        Ok(())
    })?;
    projection.apply(&mut happened);
    let rules = engine.rules();
    rules::check(rules).map_err(|source| RestoreError::Rules { place: place.clone(), source })?;
    let last = sound.last_sequence();
    if let Some(snapshot) = snapshot::list(&storage)?.into_iter().next_back().filter(|snapshot| *snapshot > last) {
        return Err(RestoreError::Behind { place, snapshot, last });
    }
    let (journal, recovery) = sound.ready(settings)?;
    for damage in &damaged {
        let path = format!("{storage}/{}", damage.file);
        snapshot::set_aside(&storage, damage).map_err(|source| LoadError::Failed { path, source })?;
    }
    let made = Made { snapshot_bytes, replayed_bytes };
    Ok(Restored { engine, journal, recovery, damaged, replayed_after, made })
}

/// The state at the beginning of a replay.
struct Start {
    engine: Engine,
    snapshot_bytes: u64,
    damaged: Vec<Damage>,
}

impl Start {
    /// Finds the newest good snapshot that the projections can go on from; else the beginning of the journal, if it is
    /// there; else the oldest good snapshot, which gives a whole state and incomplete projections.
    fn find<S: Storage>(storage: &S, checkpoint: u64) -> Result<Start, RestoreError> {
        let segments = journal::segments(storage)?;
        let first = segments.first().map_or(1, |segment| segment.first_sequence);
        let identity = segments.first().map(|segment| segment.identity);
        let (below, above): (Vec<u64>, Vec<u64>) =
            snapshot::list(storage)?.into_iter().partition(|sequence| *sequence <= checkpoint);

        let mut damaged = Vec::new();
        let mut usable = |sequence: u64| match load(storage, sequence) {
            Ok(loaded) if identity.is_some_and(|identity| identity != loaded.header.identity) => {
                Err(RestoreError::OtherJournal { place: storage.to_string(), snapshot: sequence })
            }
            Ok(loaded) => Ok((sequence + 1 >= first).then_some(loaded)),
            Err(RestoreError::Snapshot(LoadError::Damaged(damage))) => {
                damaged.push(damage);
                Ok(None)
            }
            Err(error) => Err(error),
        };
        let mut found = None;
        for sequence in below.into_iter().rev() {
            found = usable(sequence)?;
            if found.is_some() {
                break;
            }
        }
        if found.is_none() && first > 1 {
            for sequence in above {
                found = usable(sequence)?;
                if found.is_some() {
                    break;
                }
            }
        }
        match found {
            Some(Loaded { header, engine }) => Ok(Start { engine, snapshot_bytes: header.body_bytes, damaged }),
            None if first > 1 => Err(RestoreError::NoStart { place: storage.to_string(), first, damaged }),
            None => Ok(Start { engine: Engine::new(), snapshot_bytes: 0, damaged }),
        }
    }
}

/// Loads a snapshot. Refuses one of rules that this binary does not know, without reading its state.
fn load<S: Storage>(storage: &S, sequence: u64) -> Result<Loaded, RestoreError> {
    let rules = snapshot::header(storage, sequence)?.rules;
    rules::check(rules).map_err(|source| RestoreError::Rules { place: storage.to_string(), source })?;
    Ok(snapshot::load(storage, sequence)?)
}
