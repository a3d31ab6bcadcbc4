//! The errors of invocations that did not execute, or whose answer is withheld.

use std::time::Duration;

use merit_terms::{Execution, RefusalCode};
use serde_json::json;

use super::dispatch::Failure;
use crate::error::{ApiError, ErrorCode};
use crate::exchange::leases::lease::NotSent;

/// Returns the error of an invocation whose attempts all failed.
pub(super) fn failed(failure: Failure, attempts: usize) -> ApiError {
    let Failure { ran, not_sent, reason } = failure;
    match not_sent.filter(|_| ran == Execution::NotSent) {
        Some(NotSent::Busy) => {
            return ApiError::new(RefusalCode::NoCapacity, "every eligible provider is full; try again shortly");
        }
        Some(NotSent::Warming { retry_after_s }) => {
            let message = format!("the function is getting ready: {reason}; try again in {retry_after_s} s");
            let wait = Duration::from_secs(retry_after_s.into());
            return ApiError::new(RefusalCode::NoSupply, message).retry_after(wait);
        }
        _ => {}
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
