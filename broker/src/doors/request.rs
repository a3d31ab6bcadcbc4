//! What a path, a query and a body say, or a refusal in the shape of the door that was asked.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path as AnyPath, Query as AnyQuery, Request};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::doors::Shape;
use crate::error::{ApiError, in_clear};
use crate::provider::payload::{Held, Payload, Room};
use crate::server::State;
use crate::{MODULE_MAX_BYTES, PAYLOAD_MAX_BYTES};

/// The parameters of a path.
pub(crate) struct Path<T>(pub(crate) T);

/// The function that a path names in its second part. What follows is the function's own and need not be text.
pub(crate) struct Called(pub(crate) String);

/// The whole body, of at most so many bytes. Counted while it is held, and not waited for longer than any other.
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

impl<const MAX_BYTES: usize> FromRequest<Arc<State>> for Sent<MAX_BYTES> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let read = Payload::read_whole(body, MAX_BYTES, Room::new(&state.buffers, &parts)).await;
        read.map(Sent).map_err(|error| {
            let error = match error.status {
                StatusCode::PAYLOAD_TOO_LARGE if MAX_BYTES == MODULE_MAX_BYTES => {
                    ApiError::too_large("module", MAX_BYTES)
                }
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
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        #[allow(dead_code)]
        limit: Option<u32>,
        #[allow(dead_code)]
        revision: Option<bool>,
    }

    fn refused(query: &str) -> String {
        Query::<Asked>::read(&format!("/x?{query}").parse().unwrap()).unwrap_err().message
    }

    #[test]
    fn a_query_is_refused_in_words_that_a_caller_knows() {
        assert_eq!(refused("limit=many"), "the query: limit: is not a whole number");
        assert_eq!(refused("limit=-1"), "the query: limit: is not a whole number");
        assert_eq!(refused("limit=99999999999"), "the query: limit: is too large");
        assert_eq!(refused("limit="), "the query: limit: is empty; a whole number is asked for");
        assert_eq!(refused("revision=no"), "the query: revision: is not true or false");
        assert!(refused("lmit=1").contains("lmit"), "{}", refused("lmit=1"));
    }
}
