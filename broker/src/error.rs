//! Errors as a caller reads them. Each code has one status, chosen here and nowhere else.

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use merit_terms::{Execution, RefusalCode};
use serde_json::{Value, json};

/// The code of an error, for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    /// A refusal of the exchange, or of the broker in the same words.
    Refused(RefusalCode),
    Malformed,
    UnusableDefinition,
    /// A definition that would reset fields that it does not name.
    WouldReset,
    Unauthorized,
    MethodNotAllowed,
    PayloadTimeout,
    TooLarge,
    RateLimited,
    TooManyCalls,
    TooManyStreams,
    FunctionFailed,
    Internal,
    NotImplemented,
    ProviderFailed,
    Overloaded,
    /// A chain of calls has too many calls of one account, or too many accounts.
    CallsItself,
    Unavailable,
    Timeout,
    /// Never answered: an earlier attempt failed, and that failure is.
    RetryBudget,
}

impl ErrorCode {
    /// Returns the status of an answer with this code: the one table of statuses.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            ErrorCode::Refused(code) => status_of_refusal(code),
            ErrorCode::Malformed => StatusCode::BAD_REQUEST,
            ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::WouldReset => StatusCode::CONFLICT,
            ErrorCode::PayloadTimeout => StatusCode::REQUEST_TIMEOUT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::UnusableDefinition | ErrorCode::RetryBudget => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorCode::RateLimited | ErrorCode::TooManyCalls | ErrorCode::TooManyStreams => {
                StatusCode::TOO_MANY_REQUESTS
            }
            ErrorCode::FunctionFailed | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            ErrorCode::ProviderFailed => StatusCode::BAD_GATEWAY,
            ErrorCode::Overloaded | ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::CallsItself => StatusCode::LOOP_DETECTED,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            ErrorCode::Refused(code) => code.as_str(),
            ErrorCode::Malformed => "malformed",
            ErrorCode::UnusableDefinition => "unusable_definition",
            ErrorCode::WouldReset => "would_reset",
            ErrorCode::Unauthorized => "unauthorized",
            ErrorCode::MethodNotAllowed => "method_not_allowed",
            ErrorCode::PayloadTimeout => "payload_timeout",
            ErrorCode::TooLarge => "too_large",
            ErrorCode::RateLimited => "rate_limited",
            ErrorCode::TooManyCalls => "too_many_calls",
            ErrorCode::TooManyStreams => "too_many_streams",
            ErrorCode::FunctionFailed => "function_failed",
            ErrorCode::Internal => "internal",
            ErrorCode::NotImplemented => "not_implemented",
            ErrorCode::ProviderFailed => "provider_failed",
            ErrorCode::Overloaded => "overloaded",
            ErrorCode::CallsItself => "calls_itself",
            ErrorCode::Unavailable => "unavailable",
            ErrorCode::Timeout => "timeout",
            ErrorCode::RetryBudget => "retry_budget",
        }
    }
}

const fn status_of_refusal(code: RefusalCode) -> StatusCode {
    match code {
        RefusalCode::NotFound => StatusCode::NOT_FOUND,
        RefusalCode::AlreadyExists | RefusalCode::Closed | RefusalCode::MarketClosed | RefusalCode::UnknownRules => {
            StatusCode::CONFLICT
        }
        RefusalCode::Forbidden | RefusalCode::AccountFrozen | RefusalCode::ProviderKilled => StatusCode::FORBIDDEN,
        RefusalCode::InsufficientFunds | RefusalCode::BudgetExceeded => StatusCode::PAYMENT_REQUIRED,
        RefusalCode::NoCapacity | RefusalCode::MaxConcurrency | RefusalCode::OverLimit => StatusCode::TOO_MANY_REQUESTS,
        RefusalCode::NoSupply | RefusalCode::DiskLow => StatusCode::SERVICE_UNAVAILABLE,
        RefusalCode::Invalid
        | RefusalCode::NotInSession
        | RefusalCode::StaleQuote
        | RefusalCode::NoEligibleProvider
        | RefusalCode::Forgotten => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl From<RefusalCode> for ErrorCode {
    fn from(code: RefusalCode) -> ErrorCode {
        ErrorCode::Refused(code)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error answer: `{"error": {"code", "message", "invocation_id", "details"}}`.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) invocation_id: Option<Box<str>>,
    pub(crate) details: Value,
    /// Tells whether the function may have run.
    pub(crate) execution: Execution,
    /// Seconds after which another try may help.
    pub(crate) retry_after_s: Option<u32>,
    /// Time that Merit added to that of the providers.
    pub(crate) overhead_us: Option<u32>,
}

impl ApiError {
    pub(crate) fn new(code: impl Into<ErrorCode>, message: impl Into<String>) -> ApiError {
        let code = code.into();
        let soon = matches!(code.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        ApiError {
            code,
            message: message.into(),
            invocation_id: None,
            details: Value::Null,
            execution: Execution::NotSent,
            retry_after_s: soon.then_some(1),
            overhead_us: None,
        }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Malformed, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(RefusalCode::NotFound, message)
    }

    pub(crate) fn unusable(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::UnusableDefinition, message)
    }

    pub(crate) fn too_large(what: &str, max_bytes: usize) -> ApiError {
        ApiError::new(ErrorCode::TooLarge, format!("the {what} is larger than {max_bytes} bytes"))
    }

    /// Makes the error of a feature that is specified and not built yet.
    pub(crate) fn not_implemented(what: &str) -> ApiError {
        ApiError::new(ErrorCode::NotImplemented, format!("{what}: not in this version; the call was not run"))
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Unavailable, message)
    }

    /// Makes the error of a full broker: nothing was begun, and nothing waits for room.
    pub(crate) fn overloaded(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Overloaded, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Internal, message).after(Execution::Unknown)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Unauthorized, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> ApiError {
        ApiError::new(RefusalCode::Forbidden, message)
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// Sets `Retry-After`, in whole seconds and at least one.
    pub(crate) fn retry_after(mut self, wait: Duration) -> ApiError {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after_s = Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX));
        self
    }

    /// Sets the time that Merit added to that of the providers.
    pub(crate) fn added(mut self, overhead: Duration) -> ApiError {
        self.overhead_us = Some(u32::try_from(overhead.as_micros()).unwrap_or(u32::MAX));
        self
    }

    /// Sets whether the function may have run.
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

    /// Returns the headers of an error at every door: invocation, overhead, `Retry-After`, and `Connection: close`
    /// where the rest of a slow body is not waited for.
    pub(crate) fn headers(&self) -> HeaderMap {
        let is_slow = self.status() == StatusCode::REQUEST_TIMEOUT;
        let id = self.invocation_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        let told = [
            (HeaderName::from_static("merit-invocation-id"), id),
            (HeaderName::from_static("merit-overhead-us"), self.overhead_us.map(HeaderValue::from)),
            (header::RETRY_AFTER, self.retry_after_s.map(HeaderValue::from)),
            (header::CONNECTION, is_slow.then_some(HeaderValue::from_static("close"))),
        ];
        told.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Rewords a parser's error for a caller: the texts of the standard library say what it did and not what is wrong.
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let told = self.headers();
        let body = json!({"error": {
            "code": self.code.as_str(),
            "message": self.message,
            "invocation_id": self.invocation_id,
            "details": self.details,
        }});
        let mut response = (self.status(), Json(body)).into_response();
        response.headers_mut().extend(told);
        if self.status() == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static("Bearer realm=\"merit\", Basic realm=\"merit\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, schemes);
        }
        response
    }
}
