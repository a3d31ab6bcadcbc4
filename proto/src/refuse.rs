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
        Refusal::MaxConcurrency { .. } | Refusal::NoOffer { .. } | Refusal::OverLimit { .. } => Code::ResourceExhausted,
    };
    let mut status = Status::new(code, refusal.to_string());
    status.metadata_mut().insert(CODE_KEY, MetadataValue::from_static(refusal.code().as_str()));
    status
}

/// Returns the code of the refusal that a status says; none if the status is no refusal.
pub fn code_of(status: &Status) -> Option<RefusalCode> {
    status.metadata().get(CODE_KEY)?.to_str().ok()?.parse().ok()
}
