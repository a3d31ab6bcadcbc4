//! The reasons for refusing an invocation, with the status and code of each. Only the loss of a running guest comes
//! after a start, and its answer does not say that nothing ran. Never refuses by itself.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use merit_adapters::agent::{MalformedRequest, PAYLOAD_MAX_BYTES, write_full, write_not_sent, write_warming};
use merit_proto::TokenError;

/// An invocation without an answer of its function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is nothing here; invocations go to POST /invoke/{{account}}/{{function}}/{{revision}}")]
    NoSuchPath,
    #[error("the provider is stopping")]
    Draining,
    #[error("the provider has no session with the exchange yet")]
    NoSession,
    #[error("the request has no Merit-Lease header with the token of a lease")]
    NoToken,
    #[error("{0}")]
    Token(TokenError),
    #[error("the token is for another {what}")]
    TokenForOther { what: &'static str },
    #[error("the token has expired")]
    TokenExpired,
    #[error("the token was used before")]
    TokenUsed,
    #[error("the payload is larger than {PAYLOAD_MAX_BYTES} bytes")]
    PayloadTooLarge,
    #[error("the payload did not arrive whole")]
    PayloadCut,
    #[error(transparent)]
    MalformedRequest(#[from] MalformedRequest),
    #[error("every thread of the provider is taken")]
    Busy,
    #[error("the revision has no WebAssembly module")]
    NoModule,
    #[error("the exchange does not know the revision or its module")]
    UnknownModule,
    #[error("the module could not be fetched from the exchange")]
    ModuleUnavailable,
    #[error("the module cannot be run here: {0}")]
    ModuleUnusable(String),
    #[error("its module is being fetched or compiled")]
    Warming { retry_after_s: u32 },
    #[error("the guest could not be started")]
    NotStarted,
    #[error("the guest was lost while it ran")]
    Lost,
}

impl Refused {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Refused::NoSuchPath => "not_found",
            Refused::Draining => "draining",
            Refused::NoSession => "no_session",
            Refused::NoToken => "token_missing",
            Refused::Token(TokenError::Malformed) => "token_malformed",
            Refused::Token(TokenError::Forged) => "token_forged",
            Refused::TokenForOther { .. } => "token_for_other",
            Refused::TokenExpired => "token_expired",
            Refused::TokenUsed => "token_used",
            Refused::PayloadTooLarge => "payload_too_large",
            Refused::PayloadCut => "payload_cut",
            Refused::Busy => "busy",
            Refused::MalformedRequest(_) => "malformed",
            Refused::NoModule => "no_module",
            Refused::UnknownModule => "unknown_module",
            Refused::ModuleUnavailable => "module_unavailable",
            Refused::ModuleUnusable(_) => "module_unusable",
            Refused::Warming { .. } => "warming",
            Refused::NotStarted => "not_started",
            Refused::Lost => "guest_lost",
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Refused::NoSuchPath => StatusCode::NOT_FOUND,
            Refused::NoToken
            | Refused::Token(_)
            | Refused::TokenForOther { .. }
            | Refused::TokenExpired
            | Refused::TokenUsed => StatusCode::FORBIDDEN,
            Refused::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::PayloadCut | Refused::MalformedRequest(_) => StatusCode::BAD_REQUEST,
            Refused::Busy | Refused::Draining | Refused::Warming { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refused::NoModule | Refused::UnknownModule | Refused::ModuleUnusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::NoSession | Refused::ModuleUnavailable | Refused::NotStarted => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Lost => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let message = self.to_string();
        let error = serde_json::json!({ "error": { "code": self.code(), "message": message } });
        let mut response = (self.status(), error.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Refused::Lost => {}
            // Calls that were on their way when it began to stop: no failure.
            Refused::Busy | Refused::Draining => write_full(headers, &message),
            Refused::Warming { retry_after_s } => write_warming(headers, retry_after_s, &message),
            _ => write_not_sent(headers, &message),
        }
        response
    }
}

#[cfg(test)]
#[path = "../tests/unit/refused.rs"]
mod tests;
