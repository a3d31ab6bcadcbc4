//! Errors as faas-cli prints them: the status, and the sentence as plain text.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::error::ApiError;

/// Returns the answer for an error at this door.
pub(in crate::doors) fn respond(error: ApiError) -> Response {
    let told = error.headers();
    let status = error.status();
    let mut response = (status, format!("{}\n", error.message)).into_response();
    let headers = response.headers_mut();
    headers.insert("x-merit-error", HeaderValue::from_static(error.code.as_str()));
    headers.extend(told);
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"merit\""));
    }
    response
}
