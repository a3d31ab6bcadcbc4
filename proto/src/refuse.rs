//! A refusal as a gRPC status: the code for machines in its metadata, the sentence in its message.

use merit_terms::Refusal;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

const CODE_KEY: &str = "merit-code";

/// The status that says `refusal`.
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
    status.metadata_mut().insert(CODE_KEY, MetadataValue::from_static(refusal.code()));
    status
}

/// The refusal's code for machines, if the status is one.
pub fn code_of(status: &Status) -> Option<&str> {
    status.metadata().get(CODE_KEY)?.to_str().ok()
}
