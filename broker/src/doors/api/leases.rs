//! Leases, for the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_proto::v1;
use merit_terms::{LeaseId, LeaseIdError};
use serde_json::Value;

use crate::caller::Operator;
use crate::doors::accepted;
use crate::doors::request::Path;
use crate::error::ApiError;
use crate::server::State as Broker;

/// Closes an open lease at cost 0, whatever becomes of it.
pub(crate) async fn close(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let id: LeaseId = id.parse().map_err(|error: LeaseIdError| ApiError::malformed(error.to_string()))?;
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.close_lease(v1::CloseLeaseRequest { lease: Some(id.into()) })).await
}
