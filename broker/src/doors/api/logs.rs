//! Functions' logs: the end of what each call wrote to its standard error.

use std::sync::Arc;

use axum::extract::State;
use merit_terms::{Outcome, Time};
use serde::Deserialize;
use serde_json::{Value, json};

use super::past_query::paged;
use super::rows::{JsonAnswer, lease_id, page_of};
use crate::broker::Broker;
use crate::caller::Client;
use crate::doors::names::path_name;
use crate::doors::request::{Path, Query};
use crate::exchange::logs::FunctionLog;

/// The query of a list. A part that is left out sets no bound.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogsQuery {
    from: Option<Time>,
    to: Option<Time>,
    limit: Option<u32>,
    cursor: Option<String>,
    after: Option<u64>,
}

/// Lists the logs of a function of the caller's account, newest first.
pub(crate) async fn list(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Query(asked): Query<LogsQuery>,
) -> JsonAnswer {
    let past = paged(asked.from, asked.to, asked.limit, asked.cursor.as_deref())?;
    let page = broker.exchange.logs(&caller.account, path_name(&name)?, past, asked.after).await?;
    Ok(page_of("logs", &page, log_json))
}

fn log_json(log: &FunctionLog) -> Value {
    json!({
        "sequence": log.sequence,
        "at": log.at.to_string(),
        "function": log.function,
        "invocation_id": lease_id(log.invocation),
        "provider": log.provider,
        "outcome": log.outcome.map_or("", Outcome::as_str),
        "log": String::from_utf8_lossy(&log.log),
    })
}
