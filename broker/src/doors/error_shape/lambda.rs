//! Errors as the AWS SDKs parse them: the type in `x-amzn-ErrorType`, and the body that their model has for it.
//!
//! Source: the Lambda API model of 2015-03-31. An SDK tries 429 and 5xx again, so they are answered only where nothing
//! was sent; a call that may have run is a function's error instead ([`failed`]).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};
use merit_terms::{Execution, RefusalCode};
use serde_json::{Value, json};

use crate::error::{ApiError, ErrorCode};

/// Returns the answer that an SDK turns into its own exception.
pub(in crate::doors) fn respond(error: ApiError) -> Response {
    if error.execution != Execution::NotSent {
        return failed(&error);
    }
    let reason = error.details.get("reason").and_then(Value::as_str).unwrap_or_default();
    let (status, kind) = kind(&error, reason);
    let message = &error.message;
    let body = match kind {
        "ResourceNotFoundException" => json!({"Type": "User", "Message": message}),
        "ServiceException" => json!({"Type": "Service", "Message": message}),
        "TooManyRequestsException" => json!({"Type": "User", "message": message, "Reason": throttle(error.code)}),
        _ => json!({"Type": "User", "message": message}),
    };
    let told = error.headers();
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
    headers.extend(told);
    repeat_id(headers);
    response
}

fn kind(error: &ApiError, reason: &str) -> (StatusCode, &'static str) {
    match (error.status(), error.code) {
        (StatusCode::UNAUTHORIZED, _) => {
            let kind = match reason {
                "missing" => "MissingAuthenticationTokenException",
                "not_accepted" => "UnrecognizedClientException",
                _ => "InvalidSignatureException",
            };
            (StatusCode::FORBIDDEN, kind)
        }
        (StatusCode::FORBIDDEN, _) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        (StatusCode::NOT_FOUND, _) => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
        (StatusCode::PAYLOAD_TOO_LARGE, _) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException"),
        (StatusCode::TOO_MANY_REQUESTS, _) => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
        (_, ErrorCode::Refused(RefusalCode::BudgetExceeded)) => {
            (StatusCode::PAYMENT_REQUIRED, "BudgetExceededException")
        }
        (StatusCode::PAYMENT_REQUIRED, _) => (StatusCode::PAYMENT_REQUIRED, "InsufficientFundsException"),
        (_, ErrorCode::Refused(RefusalCode::NoEligibleProvider)) => {
            (StatusCode::BAD_REQUEST, "InvalidParameterValueException")
        }
        (StatusCode::NOT_IMPLEMENTED, _) => (StatusCode::NOT_IMPLEMENTED, "NotImplementedException"),
        (StatusCode::METHOD_NOT_ALLOWED, _) => (StatusCode::METHOD_NOT_ALLOWED, "InvalidRequestContentException"),
        (StatusCode::CONFLICT, _) => (StatusCode::CONFLICT, "ResourceConflictException"),
        (_, ErrorCode::CallsItself) => (StatusCode::BAD_REQUEST, "RecursiveInvocationException"),
        (status, _) if status.is_server_error() => (StatusCode::INTERNAL_SERVER_ERROR, "ServiceException"),
        _ => (StatusCode::BAD_REQUEST, "InvalidRequestContentException"),
    }
}

/// Returns the reason that Lambda's model has for a throttle.
fn throttle(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::RateLimited => "CallerRateLimitExceeded",
        ErrorCode::Refused(RefusalCode::MaxConcurrency) => "ReservedFunctionConcurrentInvocationLimitExceeded",
        _ => "ConcurrentInvocationLimitExceeded",
    }
}

/// Returns the type and the message for a call that may have run and has no answer.
pub(in crate::doors) fn failure(error: &ApiError) -> (&'static str, String) {
    let kind = match error.code {
        ErrorCode::Timeout => "Merit.Timeout",
        _ => "Merit.ProviderFailed",
    };
    (kind, error.message.clone())
}

/// Returns the answer for a call that may have run and has no answer: a function's error, which no SDK tries again.
fn failed(error: &ApiError) -> Response {
    let (kind, message) = failure(error);
    let body = json!({"errorMessage": message, "errorType": kind});
    let mut response = (StatusCode::OK, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
    headers.extend(error.headers());
    repeat_id(headers);
    response
}

/// Repeats the id of the call in the header where SDKs look for it.
fn repeat_id(headers: &mut HeaderMap) {
    if let Some(id) = headers.get("merit-invocation-id").cloned() {
        headers.insert("x-amzn-requestid", id);
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/doors/lambda_errors.rs"]
mod tests;
