//! A refusal as a gRPC status: the code for machines in its metadata, the sentence in its message.

use merit_terms::{Refusal, RefusalCode};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

const CODE_KEY: &str = "merit-code";

/// Returns the status that says `refusal`.
pub fn refusal_status(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Unknown { .. } => Code::NotFound,
        Refusal::Exists { .. } => Code::AlreadyExists,
        Refusal::Forbidden { .. } | Refusal::Frozen { .. } | Refusal::Killed { .. } => Code::PermissionDenied,
        Refusal::Invalid { .. } | Refusal::Rungs { .. } => Code::InvalidArgument,
        Refusal::NotInSession
        | Refusal::StaleQuote { .. }
        | Refusal::Closed
        | Refusal::Forgotten
        | Refusal::MarketClosed { .. }
        | Refusal::InsufficientFunds { .. }
        | Refusal::UnknownRules { .. } => Code::FailedPrecondition,
        Refusal::DiskLow { .. } => Code::Unavailable,
        Refusal::MaxConcurrency { .. } | Refusal::NoOffer { .. } | Refusal::OverLimit { .. } => Code::ResourceExhausted,
    };
    let mut status = Status::new(code, refusal.to_string());
    status.metadata_mut().insert(CODE_KEY, MetadataValue::from_static(refusal.code().as_str()));
    status
}

/// Returns the code of the refusal that a status says; none if the status is no refusal.
pub fn code_of(status: &Status) -> Option<RefusalCode> {
    status.metadata().get(CODE_KEY).map(|code| read_code(&String::from_utf8_lossy(code.as_bytes())))
}

/// Reads the code of a refusal. One that a later release added is `Invalid` here: nothing was done, and the same
/// request is refused again.
pub fn read_code(text: &str) -> RefusalCode {
    text.parse().unwrap_or_else(|_| {
        tracing::warn!(code = text, "a refusal has a code that this merit does not know; update it");
        RefusalCode::Invalid
    })
}
