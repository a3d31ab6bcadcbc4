//! Replay: journaled commands applied again, each with the result that it had.
//!
//! Owns the check that a replay gives the journaled results. It never reads a file or loads a state.

pub(crate) mod rules;

use merit_engine::{Command, Engine, Event};
use merit_terms::Time;

use crate::codec::{self, CodecError};
use rules::UnknownRules;

/// A record of the journal that does not replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Rules(#[from] UnknownRules),
    #[error("sequence {sequence} does not follow on the state, which is that of {state}: what lies between is gone")]
    Gap { sequence: u64, state: u64 },
    #[error("the command at sequence {sequence} gave another result than when it was written: {reply}")]
    Diverged { sequence: u64, reply: String },
}

/// A replayed command, with its time.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) at: Time,
    pub(crate) command: Command,
}

/// Applies the record at `sequence`, and appends its events to `events`.
pub(crate) fn step(
    engine: &mut Engine,
    sequence: u64,
    record: &[u8],
    events: &mut Vec<Event>,
) -> Result<Step, ReplayError> {
    if sequence != engine.sequence() + 1 {
        return Err(ReplayError::Gap { sequence, state: engine.sequence() });
    }
    let (at, command) = codec::decode(record)?;
    if let Command::ActivateRules { version } = command {
        rules::check(version)?;
    }
    let applied = engine.apply(at, &command, events);
    if applied.sequence != Some(sequence) || applied.at != at {
        return Err(ReplayError::Diverged { sequence, reply: format!("{:?}", applied.reply) });
    }
    Ok(Step { at, command })
}
