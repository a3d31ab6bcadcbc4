//! The statement of an account: both sides of every entry, line by line.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::past_query::PastQuery;
use super::rows::JsonAnswer;
use crate::broker::Broker;
use crate::caller::Caller;
use crate::doors::names::path_name;
use crate::doors::request::{Path, Query};
use crate::exchange::statements::StatementLine;

/// Most lines in one answer.
const LINES_MAX: u32 = 1_000;

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(past): Query<PastQuery>,
) -> JsonAnswer {
    let past = past.checked(LINES_MAX)?;
    let account = path_name(&id)?;
    caller.must_see(&account)?;
    let lines = broker.exchange.statement(&account, past).await?;
    Ok(Json(json!({"account": account, "lines": lines.iter().map(line_json).collect::<Vec<_>>()})))
}

fn line_json(line: &StatementLine) -> Value {
    let mut told = json!({
        "sequence": line.sequence,
        "at": line.at.to_string(),
        "counter_account": line.counter_account,
        "amount": line.amount.to_string(),
        "balance": line.balance.to_string(),
        "why": line.why,
    });
    if let Some(lease) = line.lease {
        told["lease"] = json!(lease.to_string());
    }
    if let Some(invocation) = line.invocation {
        told["invocation_id"] = json!(invocation.to_string());
    }
    if !line.reason.is_empty() {
        told["reason"] = json!(line.reason);
    }
    told
}
