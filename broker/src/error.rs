//! What a caller reads when something is refused or fails. Status codes are chosen here, once.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use merit_proto::code_of;
use merit_terms::Execution;
use serde_json::{Value, json};
use tonic::Code;

/// An error answer: `{"error": {"code", "message", "invocation_id", "details"}}`.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) invocation_id: Option<Box<str>>,
    pub(crate) details: Value,
    /// Whether the function may have run.
    pub(crate) execution: Execution,
    /// In how many seconds trying again may help.
    pub(crate) retry_after_s: Option<u32>,
    /// What Merit added to the providers' time.
    pub(crate) overhead_us: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> ApiError {
        let soon = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        ApiError {
            status,
            code: code.to_owned(),
            message: message.into(),
            invocation_id: None,
            details: Value::Null,
            execution: Execution::NotSent,
            retry_after_s: soon.then_some(1),
            overhead_us: None,
        }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn unusable(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "unusable_definition", message)
    }

    pub(crate) fn too_large(what: &str, max_bytes: usize) -> ApiError {
        let message = format!("the {what} is larger than {max_bytes} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// Something that is specified and not there yet.
    pub(crate) fn not_implemented(what: &str) -> ApiError {
        let message = format!("{what}: not in this version; the call was not run");
        ApiError::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// There is no room; nothing was begun, and nothing waits for it.
    pub(crate) fn overloaded(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).after(Execution::Unknown)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// Says when trying again may help; whole seconds, at least one, are told.
    pub(crate) fn retry_after(mut self, wait: Duration) -> ApiError {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after_s = Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX));
        self
    }

    /// Says what Merit added to the providers' time.
    pub(crate) fn added(mut self, overhead: Duration) -> ApiError {
        self.overhead_us = Some(u32::try_from(overhead.as_micros()).unwrap_or(u32::MAX));
        self
    }

    /// What every door tells in headers of an error: the call, Merit's own time, when trying again may help, and that the
    /// connection ends where the rest of a body is not waited for.
    pub(crate) fn headers(&self) -> HeaderMap {
        let is_slow = self.status == StatusCode::REQUEST_TIMEOUT;
        let id = self.invocation_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        let told = [
            (HeaderName::from_static("merit-invocation-id"), id),
            (HeaderName::from_static("merit-overhead-us"), self.overhead_us.map(HeaderValue::from)),
            (header::RETRY_AFTER, self.retry_after_s.map(HeaderValue::from)),
            (header::CONNECTION, is_slow.then_some(HeaderValue::from_static("close"))),
        ];
        told.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Says whether the function may have run.
    pub(crate) fn after(mut self, execution: Execution) -> ApiError {
        self.execution = execution;
        self
    }

    pub(crate) fn about(mut self, invocation_id: impl ToString) -> ApiError {
        self.invocation_id = Some(invocation_id.to_string().into());
        self
    }

    pub(crate) fn with(mut self, details: Value) -> ApiError {
        self.details = details;
        self
    }

    /// A refusal of the exchange, by its code.
    pub(crate) fn refused(code: &str, message: impl Into<String>) -> ApiError {
        let status = match code {
            "not_found" => StatusCode::NOT_FOUND,
            "already_exists" | "closed" | "market_closed" | "unknown_rules" => StatusCode::CONFLICT,
            "forbidden" | "account_frozen" | "provider_killed" => StatusCode::FORBIDDEN,
            "insufficient_funds" | "budget_exceeded" => StatusCode::PAYMENT_REQUIRED,
            "no_capacity" | "max_concurrency" | "over_limit" => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        ApiError::new(status, code, message)
    }
}

/// A refusal of a parser in words that a caller knows: those of the standard library say what it did, not what is wrong.
pub(crate) fn in_clear(refusal: &str) -> String {
    const CLEAR: [(&str, &str); 5] = [
        ("invalid digit found in string", "is not a whole number"),
        ("number too large to fit in target type", "is too large"),
        ("number too small to fit in target type", "is too small"),
        ("cannot parse integer from empty string", "is empty; a whole number is asked for"),
        ("provided string was not `true` or `false`", "is not true or false"),
    ];
    CLEAR.iter().fold(refusal.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> ApiError {
        if let Some(code) = code_of(&status) {
            return ApiError::refused(code, status.message());
        }
        match status.code() {
            Code::NotFound => ApiError::not_found(status.message()),
            Code::InvalidArgument => ApiError::unusable(status.message()),
            // Not now, and the exchange says why.
            Code::Aborted => ApiError::unavailable(status.message()),
            Code::ResourceExhausted | Code::OutOfRange => {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", status.message())
            }
            _ => {
                tracing::warn!(code = ?status.code(), message = status.message(), "the exchange did not answer");
                ApiError::unavailable("the exchange does not answer; try again shortly")
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let told = self.headers();
        let body = json!({"error": {
            "code": self.code,
            "message": self.message,
            "invocation_id": self.invocation_id,
            "details": self.details,
        }});
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().extend(told);
        if self.status == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static("Bearer realm=\"merit\", Basic realm=\"merit\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, schemes);
        }
        response
    }
}
