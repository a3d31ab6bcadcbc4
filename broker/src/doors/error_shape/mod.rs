//! The shape of errors: native JSON, as the AWS SDKs parse them, or as faas-cli prints them.

pub(super) mod lambda;
pub(super) mod openfaas;

use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// The form in which a door tells errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Native,
    Lambda,
    OpenFaas,
}

impl Shape {
    /// Returns the shape of the door at this path.
    pub(crate) fn of(path: &str) -> Shape {
        let is_at = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        match () {
            () if is_at(&["/2015-03-31/", "/2021-11-15/"]) => Shape::Lambda,
            () if is_at(&["/function/", "/async-function/", "/system/"]) => Shape::OpenFaas,
            () => Shape::Native,
        }
    }

    pub(crate) fn respond(self, error: ApiError) -> Response {
        match self {
            Shape::Native => error.into_response(),
            Shape::Lambda => lambda::respond(error),
            Shape::OpenFaas => openfaas::respond(error),
        }
    }
}
