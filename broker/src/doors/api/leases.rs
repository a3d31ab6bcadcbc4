//! Leases, for the operator.

use std::sync::Arc;

use axum::extract::State;
use merit_terms::{LeaseId, LeaseIdError};

use super::rows::{JsonAnswer, accepted};
use crate::broker::Broker;
use crate::caller::Operator;
use crate::doors::request::Path;
use crate::error::ApiError;

/// Closes an open lease at cost 0, whatever becomes of it.
pub(crate) async fn close(State(broker): State<Arc<Broker>>, _: Operator, Path(id): Path<String>) -> JsonAnswer {
    let id: LeaseId = id.parse().map_err(|error: LeaseIdError| ApiError::malformed(error.to_string()))?;
    Ok(accepted(broker.exchange.close_lease(id).await?))
}
