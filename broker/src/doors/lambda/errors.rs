//! Errors as the AWS SDKs parse them: the type in `x-amzn-ErrorType`, and the body that their model has for it.
//!
//! Source: the Lambda API model of 2015-03-31. An SDK tries 429 and 5xx again, so those are answered only where nothing
//! was sent; what may have run is a function's error instead ([`failed`]).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};
use merit_terms::Execution;
use serde_json::{Value, json};

use crate::error::ApiError;

/// The answer that an SDK turns into its own exception.
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
        "TooManyRequestsException" => json!({"Type": "User", "message": message, "Reason": throttle(&error.code)}),
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
    match (error.status, error.code.as_str()) {
        (StatusCode::UNAUTHORIZED, _) => {
            let kind = match reason {
                "missing" => "MissingAuthenticationTokenException",
                "unknown_key" => "UnrecognizedClientException",
                _ => "InvalidSignatureException",
            };
            (StatusCode::FORBIDDEN, kind)
        }
        (StatusCode::FORBIDDEN, _) => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        (StatusCode::NOT_FOUND, _) => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
        (StatusCode::PAYLOAD_TOO_LARGE, _) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException"),
        (StatusCode::TOO_MANY_REQUESTS, _) => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
        (StatusCode::PAYMENT_REQUIRED, "budget_exceeded") => (StatusCode::PAYMENT_REQUIRED, "BudgetExceededException"),
        (StatusCode::PAYMENT_REQUIRED, _) => (StatusCode::PAYMENT_REQUIRED, "InsufficientFundsException"),
        (_, "no_eligible_provider") => (StatusCode::BAD_REQUEST, "InvalidParameterValueException"),
        (StatusCode::NOT_IMPLEMENTED, _) => (StatusCode::NOT_IMPLEMENTED, "NotImplementedException"),
        (StatusCode::METHOD_NOT_ALLOWED, _) => (StatusCode::METHOD_NOT_ALLOWED, "InvalidRequestContentException"),
        (StatusCode::CONFLICT, _) => (StatusCode::CONFLICT, "ResourceConflictException"),
        (status, _) if status.is_server_error() => (StatusCode::INTERNAL_SERVER_ERROR, "ServiceException"),
        _ => (StatusCode::BAD_REQUEST, "InvalidRequestContentException"),
    }
}

/// The reason that Lambda's model has for a throttle.
fn throttle(code: &str) -> &'static str {
    match code {
        "rate_limited" => "CallerRateLimitExceeded",
        "max_concurrency" => "ReservedFunctionConcurrentInvocationLimitExceeded",
        _ => "ConcurrentInvocationLimitExceeded",
    }
}

/// The type and the message of what may have run and has no answer.
pub(super) fn failure(error: &ApiError) -> (&'static str, String) {
    let kind = match error.code.as_str() {
        "timeout" => "Merit.Timeout",
        _ => "Merit.ProviderFailed",
    };
    (kind, error.message.clone())
}

/// A call that may have run and has no answer: the function's error, which no SDK tries again.
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

/// The call's id, where SDKs look for that of a request.
fn repeat_id(headers: &mut HeaderMap) {
    if let Some(id) = headers.get("merit-invocation-id").cloned() {
        headers.insert("x-amzn-requestid", id);
    }
}
