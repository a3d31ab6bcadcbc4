//! Paths, queries and bodies of requests, read or refused in the error shape of their door.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path as AnyPath, Query as AnyQuery, Request};
use axum::response::Response;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::error_shape::Shape;
use crate::broker::Broker;
use crate::caller::holder;
use crate::error::{ApiError, ErrorCode, in_clear};
use crate::limits::{MODULE_MAX_BYTES, PAYLOAD_MAX_BYTES};
use crate::quota::bodies::{Held, Room, read};

/// The parameters of a path.
pub(crate) struct Path<T>(pub(crate) T);

/// The function that the second part of a path names. The rest of the path is the function's and need not be text.
pub(crate) struct Called(pub(crate) String);

/// The whole body, of at most `MAX_BYTES`, within the quota on bodies in memory.
pub(crate) struct Sent<const MAX_BYTES: usize = PAYLOAD_MAX_BYTES>(pub(crate) Held);

/// The parameters of a query.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Response> {
        let read = AnyPath::from_request_parts(parts, state).await;
        read.map(|AnyPath(read)| Path(read)).map_err(|error| {
            let error = match error {
                PathRejection::FailedToDeserializePathParams(error) => {
                    ApiError::malformed(format!("the path: {}", in_clear(&error.body_text())))
                }
                other => ApiError::internal(other.body_text()),
            };
            Shape::of(parts.uri.path()).respond(error)
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Called {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Called, Response> {
        let name = parts.uri.path().split('/').nth(2).unwrap_or_default();
        percent_decode_str(name).decode_utf8().map(|name| Called(name.into_owned())).map_err(|_| {
            let error = ApiError::malformed(format!("the path's `{name}` is not UTF-8"));
            Shape::of(parts.uri.path()).respond(error)
        })
    }
}

impl<const MAX_BYTES: usize> FromRequest<Arc<Broker>> for Sent<MAX_BYTES> {
    type Rejection = Response;

    async fn from_request(request: Request, broker: &Arc<Broker>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let body = read(body, MAX_BYTES, Room::new(&broker.bodies, holder(&parts))).await;
        body.map(Sent).map_err(|error| {
            let error = match error.code {
                ErrorCode::TooLarge if MAX_BYTES == MODULE_MAX_BYTES => ApiError::too_large("module", MAX_BYTES),
                _ => error,
            };
            Shape::of(parts.uri.path()).respond(error)
        })
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, Response> {
        Query::read(&parts.uri).map_err(|error| Shape::of(parts.uri.path()).respond(error))
    }
}

impl<T: DeserializeOwned> Query<T> {
    pub(crate) fn read(uri: &http::Uri) -> Result<Query<T>, ApiError> {
        match AnyQuery::try_from_uri(uri) {
            Ok(AnyQuery(read)) => Ok(Query(read)),
            Err(error) => {
                let text = error.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(ApiError::malformed(format!("the query: {}", in_clear(text))))
            }
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/doors/request.rs"]
mod tests;
