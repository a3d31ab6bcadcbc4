//! The errors of invocations that did not execute, or whose answer is withheld.

use merit_terms::{Execution, RefusalCode};
use serde_json::json;

use super::dispatch::Failure;
use crate::error::{ApiError, ErrorCode};

/// Returns the error of an invocation whose attempts all failed.
pub(super) fn failed(failure: Failure, attempts: usize) -> ApiError {
    let Failure { ran, busy, reason } = failure;
    if ran == Execution::NotSent && busy {
        return ApiError::new(RefusalCode::NoCapacity, "every eligible provider is full; try again shortly");
    }
    let message = match ran {
        Execution::Executed => {
            format!("the function ran, and its answer is withheld: it could not be settled: {reason}")
        }
        Execution::NotSent | Execution::Unknown => format!("no provider answered; the last one: {reason}"),
    };
    ApiError::new(ErrorCode::ProviderFailed, message)
        .after(ran)
        .with(json!({"execution": ran.as_str(), "attempts": attempts}))
}

/// Returns the error of a call whose deadline passed.
pub(crate) fn deadline(execution: Execution) -> ApiError {
    let message = "the deadline of Merit-Deadline passed before an answer";
    ApiError::new(ErrorCode::Timeout, message)
        .after(execution)
        .with(json!({"reason": "deadline", "execution": execution.as_str()}))
}
