//! The front doors: each translates to and from one internal call; nothing behind a door knows it.

pub(crate) mod api;
mod call;
mod cloud_events;
mod headers;
pub(crate) mod lambda;
pub(crate) mod native;
pub(crate) mod openfaas;
pub(crate) mod request;

use axum::Json;
use axum::response::{IntoResponse, Response};
use merit_proto::v1;
use merit_terms::{MarketName, Name};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::exchange::clients::answer;

/// How a door tells its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Native,
    Lambda,
    OpenFaas,
}

impl Shape {
    /// That of the door at this path.
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
            Shape::Lambda => lambda::respond_error(error),
            Shape::OpenFaas => openfaas::respond_error(error),
        }
    }
}

/// `name`, `name:alias` or `name:revision` of a path.
pub(crate) fn target(text: &str) -> Result<(Name, Option<v1::Qualifier>), ApiError> {
    use v1::qualifier::Revision;
    let (name, qualifier) = match text.split_once(':') {
        None => (text, None),
        Some((name, qualifier)) => (name, Some(qualifier)),
    };
    let revision = match qualifier {
        None => None,
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
            Some(Revision::Number(text.parse().map_err(|_| malformed(text, "not a revision"))?))
        }
        Some(text) => {
            let alias: Name = text.parse().map_err(|error| malformed(text, error))?;
            Some(Revision::Alias(alias.to_string()))
        }
    };
    let name = name.parse().map_err(|error| malformed(name, error))?;
    Ok((name, revision.map(|revision| v1::Qualifier { revision: Some(revision) })))
}

fn malformed(text: &str, error: impl std::fmt::Display) -> ApiError {
    ApiError::malformed(format!("the path's `{text}`: {error}"))
}

/// A name in a path: of a function, an alias, an account or a provider.
pub(crate) fn path_name(text: &str) -> Result<String, ApiError> {
    text.parse::<Name>().map(|name| name.to_string()).map_err(|error| malformed(text, error))
}

/// The market that a path names by its region and class.
pub(crate) fn path_market(region: &str, class: &str) -> Result<String, ApiError> {
    let text = format!("{region}/{class}");
    text.parse::<MarketName>()
        .map(|name| name.to_string())
        .map_err(|error| ApiError::malformed(format!("the path's market: {error}")))
}

/// The answer to what the operator asked for: the sequence of its command.
pub(crate) async fn accepted(
    command: impl Future<Output = Result<tonic::Response<v1::CommandAccepted>, tonic::Status>>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({"sequence": answer(command).await?.sequence})))
}
