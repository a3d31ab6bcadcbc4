//! Making a snapshot beside the market: the newest good one, and a replay of what is durable since.
//!
//! Owns the choice of where a replay begins. It works on files alone and never asks the running engine for anything, so
//! each snapshot also shows that the one before it can be loaded and that the journal replays.

use std::io;

use merit_engine::Engine;

use super::format::{DAMAGED_SUFFIX, Header};
use super::read::{Damage, LoadError, Loaded, list, load};
use super::write::{WriteError, write};
use crate::replay::{self, ReplayError};
use merit_journal as journal;
use merit_journal::storage::Storage;

/// Why a snapshot could not be made. The market goes on, and the next try begins anew.
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

/// The newest good snapshot, and the damaged ones that are newer.
#[derive(Debug)]
pub struct Newest {
    pub loaded: Option<Loaded>,
    pub damaged: Vec<Damage>,
}

/// Looks for the newest snapshot, at or below `upto`, that is good.
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

/// Gives a damaged snapshot another name, under which it is never looked at again and can be examined.
pub fn set_aside<S: Storage>(storage: &S, damage: &Damage) -> io::Result<()> {
    storage.rename(&damage.file, &format!("{}{DAMAGED_SUFFIX}", damage.file))?;
    storage.sync_names()
}

/// Writes the state after the command of sequence `upto`, which must be durable. Asks `stop` now and then whether to
/// give up. None: there is a snapshot of that sequence already.
///
/// Damaged snapshots that are met are set aside.
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
