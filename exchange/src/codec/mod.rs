//! Engine commands as journal records and back.
//!
//! A record that this binary cannot read is a failure with the reason, never skipped: every later record depends on it.

mod bids;
mod commands;

#[cfg(test)]
#[path = "../../tests/unit/codec.rs"]
mod tests;

use merit_engine::Command;
use merit_proto::FieldError;
use merit_proto::v1;
use merit_terms::Time;
use prost::Message;

pub use commands::kind;

/// A record of the journal that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    #[error("the record is not a command")]
    Encoding(#[from] prost::DecodeError),
    #[error("the record is of a kind that this version does not know; use the version that wrote it")]
    UnknownCommand,
    #[error("the record's {0}")]
    Field(#[from] FieldError),
}

/// Appends the first part of a record: the time, which only the engine knows.
pub(crate) fn encode_time(at: Time, buffer: &mut Vec<u8>) {
    // Without a command only the field of the time is written.
    v1::JournalRecord { at: at.micros(), command: None }.encode_raw(buffer);
}

/// Appends the rest of a record, which is known before the command is applied.
pub(crate) fn encode_command(command: &Command, buffer: &mut Vec<u8>) {
    // Without a time only the field of the command is written.
    let record = v1::JournalRecord { at: 0, command: Some(commands::record(command)) };
    buffer.reserve(record.encoded_len());
    record.encode_raw(buffer);
}

/// Decodes a record that [`encode_time`] and [`encode_command`] wrote.
pub fn decode(bytes: &[u8]) -> Result<(Time, Command), CodecError> {
    let record = v1::JournalRecord::decode(bytes)?;
    let command = record.command.ok_or(CodecError::UnknownCommand)?;
    Ok((Time::from_micros(record.at), commands::command(command)?))
}
