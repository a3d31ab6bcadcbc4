//! The statement of an account: both sides of every entry, line by line.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_proto::v1;
use serde_json::{Value, json};

use super::span::{Span, micros};
use crate::caller::Caller;
use crate::doors::path_name;
use crate::doors::request::{Path, Query};
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{lease_id, time, wide_decimal};
use crate::server::State as Broker;

const LINES_MAX: u32 = 1_000;

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(span): Query<Span>,
) -> Result<Json<Value>, ApiError> {
    let span = span.checked(LINES_MAX)?;
    let account = path_name(&id)?;
    caller.must_see(&account)?;
    let mut client = broker.exchange.archive.clone();
    let request = v1::ListStatementRequest {
        account: account.clone(),
        from: micros(span.from),
        to: micros(span.to),
        limit: span.limit(),
        before: span.before.unwrap_or(0),
    };
    let listed = answer(client.list_statement(request)).await?;
    Ok(Json(json!({"account": account, "lines": listed.lines.iter().map(line).collect::<Vec<_>>()})))
}

fn line(line: &v1::StatementLine) -> Value {
    let mut told = json!({
        "sequence": line.sequence,
        "at": time(line.at),
        "counter_account": line.counter_account,
        "amount": wide_decimal(&line.amount),
        "balance": wide_decimal(&line.balance),
        "why": line.why,
    });
    if line.lease.is_some() {
        told["lease"] = json!(lease_id(line.lease));
    }
    if line.invocation.is_some() {
        told["invocation_id"] = json!(lease_id(line.invocation));
    }
    if !line.reason.is_empty() {
        told["reason"] = json!(line.reason);
    }
    told
}
