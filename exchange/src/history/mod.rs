//! A data directory read without opening it: its commands, the state at any of them, and a check of every byte.
//!
//! Owns the reading tools behind `merit journal` and `merit why`. It takes no lock and changes nothing, so it works on
//! a copy and beside a running process, whose last batch may then look like the end of an interrupted write.

mod verify;
mod why;

use std::path::Path;

use merit_engine::{Command, Engine, Event};
use merit_terms::Time;

pub use crate::codec::kind;
pub use verify::{SnapshotCheck, Verdict, Verified, verify};
pub use why::{Decision, Named, WhyError, why, why_at};

use crate::codec;
use crate::replay::{self, ReplayError};
use crate::snapshot::{self, Damage, LoadError, Loaded};
use merit_journal::storage::{Directory, Storage};
use merit_journal::{self as journal, Report, SegmentStart, VisitError};

/// A data directory that cannot be read as far as asked.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Read(#[from] journal::ReadError),
    #[error(transparent)]
    Snapshot(#[from] LoadError),
    #[error(
        "the journal in {place} begins at sequence {first}, and no good snapshot reaches it{}",
        damaged.iter().map(|damage| format!("; {damage}")).collect::<String>()
    )]
    NoStart { place: String, first: u64, damaged: Vec<Damage> },
    #[error(
        "the state after sequence {asked} cannot be recomputed any more: in {place} the journal and its snapshots \
         reach back to {oldest}"
    )]
    TooOld { place: String, asked: u64, oldest: u64 },
    #[error("the journal in {place} ends at sequence {last}{}, before {asked}", damage_note(damage.as_ref()))]
    TooNew { place: String, asked: u64, last: u64, damage: Option<journal::Damage> },
}

fn damage_note(damage: Option<&journal::Damage>) -> String {
    damage.map_or_else(String::new, |damage| format!(" ({damage})"))
}

/// The result of a replay.
#[derive(Debug)]
pub struct Replayed {
    pub engine: Engine,
    pub report: Report,
    /// The sequence of the snapshot from which it began; 0 for the beginning of the journal.
    pub began_after: u64,
}

/// Replays a whole data directory, from its beginning or else from the oldest good snapshot. Gives every command with
/// its events to `visit`.
pub fn replay(data_dir: &Path, mut visit: impl FnMut(u64, &Command, &[Event])) -> Result<Replayed, HistoryError> {
    let storage = Directory::existing(data_dir);
    let engine = oldest(&storage)?;
    replay_from(&storage, engine, u64::MAX, |_, sequence, command, events| visit(sequence, command, events))
}

/// Replays a data directory up to and with the command at `upto`, or to its end, from the snapshot nearest before it.
pub fn replay_to(data_dir: &Path, upto: impl Into<Option<u64>>) -> Result<Replayed, HistoryError> {
    let asked = upto.into();
    let upto = asked.unwrap_or(u64::MAX);
    let storage = Directory::existing(data_dir);
    let snapshot = snapshot::newest(&storage, upto)?.loaded;
    let first = first_sequence(&storage)?;
    let engine = match snapshot {
        Some(Loaded { engine, .. }) if engine.sequence() + 1 >= first => engine,
        _ if first == 1 => Engine::new(),
        _ => {
            let oldest = oldest(&storage)?;
            return Err(HistoryError::TooOld { place: storage.to_string(), asked: upto, oldest: oldest.sequence() });
        }
    };
    let replayed = replay_from(&storage, engine, upto, |_, _, _, _| {})?;
    match replayed.engine.sequence() {
        last if asked.is_some() && last < upto => {
            Err(HistoryError::TooNew { place: storage.to_string(), asked: upto, last, damage: replayed.report.damage })
        }
        _ => Ok(replayed),
    }
}

/// Gives the journaled commands from sequence `from` to `to`, both included, to `visit`, with the time of each and the
/// bytes of its record. Nothing is applied.
pub fn commands(
    data_dir: &Path,
    from: u64,
    to: u64,
    mut visit: impl FnMut(u64, Time, &Command, usize),
) -> Result<Report, HistoryError> {
    let storage = Directory::existing(data_dir);
    let mut each = |sequence: u64, record: &[u8]| {
        let (at, command) = codec::decode(record).map_err(ReplayError::from)?;
        visit(sequence, at, &command, record.len());
        Ok::<(), VisitError>(())
    };
    Ok(match (from, to) {
        (0 | 1, u64::MAX) => journal::read(&storage, &mut each)?,
        _ => journal::read_span(&storage, from.saturating_sub(1), to, &mut each)?,
    })
}

/// A listed snapshot: its header is checked and nothing else.
#[derive(Debug)]
pub struct Listed {
    pub sequence: u64,
    pub header: Result<snapshot::Header, LoadError>,
}

/// Lists the snapshots of a data directory, in order.
pub fn snapshots(data_dir: &Path) -> Result<Vec<Listed>, HistoryError> {
    let storage = Directory::existing(data_dir);
    let listed = |sequence| Listed { sequence, header: snapshot::header(&storage, sequence) };
    Ok(snapshot::list(&storage)?.into_iter().map(listed).collect())
}

/// Returns the sequence at which the journal begins; 1 if there is none.
fn first_sequence<S: Storage>(storage: &S) -> Result<u64, HistoryError> {
    let segments = journal::segments(storage)?;
    Ok(segments.first().map_or(1, |SegmentStart { first_sequence, .. }| *first_sequence))
}

/// Loads the oldest state from which the journal can be replayed.
fn oldest<S: Storage>(storage: &S) -> Result<Engine, HistoryError> {
    let first = first_sequence(storage)?;
    if first == 1 {
        return Ok(Engine::new());
    }
    let mut damaged = Vec::new();
    for sequence in snapshot::list(storage)?.into_iter().filter(|sequence| sequence + 1 >= first) {
        match snapshot::load(storage, sequence) {
            Ok(Loaded { engine, .. }) => return Ok(engine),
            Err(LoadError::Damaged(damage)) => damaged.push(damage),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(HistoryError::NoStart { place: storage.to_string(), first, damaged })
}

/// Loads a state from which the journal can be replayed: the newest at or before `sequence`, else the oldest.
pub(crate) fn nearest<S: Storage>(storage: &S, sequence: u64) -> Result<Engine, HistoryError> {
    let found = loop {
        match snapshot::newest(storage, sequence) {
            // The thread that makes newer snapshots removed it meanwhile: there is another.
            Err(error) if error.is_missing() => {}
            found => break found?.loaded,
        }
    };
    match found {
        Some(Loaded { engine, .. }) if engine.sequence() + 1 >= first_sequence(storage)? => Ok(engine),
        _ => oldest(storage),
    }
}

/// Replays from a state. Gives every command to `visit`, with the state after it and its events.
fn replay_from<S: Storage>(
    storage: &S,
    mut engine: Engine,
    upto: u64,
    mut visit: impl FnMut(&Engine, u64, &Command, &[Event]),
) -> Result<Replayed, HistoryError> {
    let began_after = engine.sequence();
    let mut events = Vec::new();
    let mut each = |sequence: u64, record: &[u8]| {
        if sequence <= began_after {
            return Ok::<(), VisitError>(());
        }
        let step = replay::step(&mut engine, sequence, record, &mut events).map_err(Box::<ReplayError>::from)?;
        visit(&engine, sequence, &step.command, &events);
        events.clear();
        Ok(())
    };
    let report = match upto {
        u64::MAX => journal::read(storage, &mut each)?,
        _ => journal::read_span(storage, began_after, upto, &mut each)?,
    };
    Ok(Replayed { engine, report, began_after })
}
