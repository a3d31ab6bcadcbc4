//! Errors at Lambda's door: those that an SDK should not try again are no server errors.

use super::*;

#[test]
fn a_chain_of_calls_is_answered_400() {
    let error = ApiError::new(ErrorCode::CallsItself, "this chain of calls is too long");
    let response = respond(error);
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()["x-amzn-errortype"], "RecursiveInvocationException");
}

#[test]
fn a_provider_that_warms_up_is_tried_again() {
    let response = respond(ApiError::new(RefusalCode::NoSupply, "the function is getting ready"));
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()["retry-after"], "1");
}
