//! Replay: journaled commands applied again, each with the result that it had.
//!
//! Owns the check that a replay is one. It never reads a file and never knows where the engine it goes on from came
//! from.

use merit_engine::{Command, Engine, Event};
use merit_terms::Time;

use crate::codec::{self, CodecError};
use crate::rules::{self, UnknownRules};

/// Why one record of the journal does not replay.
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

/// A command that was replayed, at the time it had.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) at: Time,
    pub(crate) command: Command,
}

/// Applies the record of `sequence`; its events are appended to `events`.
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
