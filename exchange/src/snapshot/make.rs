//! Making a snapshot beside the market: the newest good one, and a replay of the durable commands after it.
//!
//! Owns the beginning of that replay. It works on files alone and never asks the running engine, so each snapshot also
//! shows that the one before it can be loaded and that the journal replays.

use std::io;

use merit_engine::Engine;

use super::format::{DAMAGED_SUFFIX, Header, LOST_SUFFIX, snapshot_name};
use super::read::{Damage, LoadError, Loaded, list, load};
use super::write::{WriteError, write};
use crate::replay::{self, ReplayError};
use merit_journal as journal;
use merit_journal::storage::Storage;

/// A snapshot that could not be made. The market goes on, and the next attempt begins anew.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Read(#[from] journal::ReadError),
    #[error("the journal is damaged before what is durable: {0}")]
    Damaged(journal::Damage),
    #[error("the journal ends at sequence {found}, before {wanted}, which is durable")]
    Short { found: u64, wanted: u64 },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("it was told to stop")]
    Stopped,
}

/// The newest good snapshot, and the newer damaged ones.
#[derive(Debug)]
pub struct Newest {
    pub loaded: Option<Loaded>,
    pub damaged: Vec<Damage>,
}

/// Loads the newest good snapshot at or below `upto`.
pub fn newest<S: Storage>(storage: &S, upto: u64) -> Result<Newest, LoadError> {
    let mut damaged = Vec::new();
    for sequence in list(storage)?.into_iter().rev().filter(|sequence| *sequence <= upto) {
        match load(storage, sequence) {
            Ok(loaded) => return Ok(Newest { loaded: Some(loaded), damaged }),
            Err(LoadError::Damaged(damage)) => damaged.push(damage),
            Err(error) => return Err(error),
        }
    }
    Ok(Newest { loaded: None, damaged })
}

/// Renames a damaged snapshot: it is never read again and can be examined.
pub fn set_aside<S: Storage>(storage: &S, damage: &Damage) -> io::Result<()> {
    storage.rename(&damage.file, &format!("{}{DAMAGED_SUFFIX}", damage.file))?;
    storage.sync_names()
}

/// Renames the snapshots after `last`, whose commands are lost: they are never read again.
pub fn set_aside_after<S: Storage>(storage: &S, last: u64) -> Result<(), LoadError> {
    for sequence in list(storage)?.into_iter().filter(|sequence| *sequence > last) {
        let name = snapshot_name(sequence);
        let renamed = storage.rename(&name, &format!("{name}{LOST_SUFFIX}")).and_then(|()| storage.sync_names());
        renamed.map_err(|source| LoadError::Failed { path: format!("{storage}/{name}"), source })?;
    }
    Ok(())
}

/// Writes the state after the command at `upto`, which must be durable. Calls `stop` now and then, and gives up when it
/// returns true. Returns none if there is a snapshot of that sequence already.
///
/// Damaged snapshots are set aside.
pub fn make<S: Storage>(
    storage: &S,
    identity: u32,
    upto: u64,
    stop: impl Fn() -> bool,
) -> Result<Option<Header>, MakeError> {
    let Newest { loaded, damaged } = newest(storage, upto)?;
    for damage in damaged {
        tracing::error!("a snapshot is damaged and is set aside: {damage}");
        let path = format!("{storage}/{}", damage.file);
        set_aside(storage, &damage).map_err(|source| WriteError::Failed {
            doing: "rename the damaged",
            path,
            source,
        })?;
    }
    let mut engine = loaded.map_or_else(Engine::new, |loaded| loaded.engine);
    if engine.sequence() == upto {
        return Ok(None);
    }
    let mut events = Vec::new();
    let report = journal::read_span(storage, engine.sequence(), upto, |sequence, record| {
        if stop() {
            return Err(journal::Enough.into());
        }
        replay::step(&mut engine, sequence, record, &mut events).map_err(Box::<ReplayError>::from)?;
        events.clear();
        Ok(())
    })?;
    if engine.sequence() != upto {
        return Err(match report.damage {
            _ if stop() => MakeError::Stopped,
            Some(damage) => MakeError::Damaged(damage),
            None => MakeError::Short { found: engine.sequence(), wanted: upto },
        });
    }
    Ok(Some(write(storage, identity, &engine)?))
}
