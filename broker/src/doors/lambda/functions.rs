//! `ListFunctions` and `GetFunction`, answered from the registry.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{QualifierQuery, names};
use crate::broker::Broker;
use crate::caller::Caller;
use crate::doors::api::functions::must_find;
use crate::doors::error_shape::lambda as errors;
use crate::doors::request::{Path, Query};
use crate::error::ApiError;
use crate::exchange::functions::Function;
use crate::exchange::leases::lease::Qualifier;

/// Most functions on a page, as at Lambda.
const PAGE_MAX: u32 = 50;

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    /// Name after which the page begins.
    #[serde(rename = "Marker")]
    marker: Option<String>,
    #[serde(rename = "MaxItems")]
    max_items: Option<u32>,
}

/// Handles `GET /2015-03-31/functions/`.
pub(crate) async fn list(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Query(page): Query<PageQuery>,
) -> Response {
    let listed = async {
        let caller = caller?;
        caller.must_call()?;
        let most = page.max_items.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let after = page.marker.unwrap_or_default();
        let page = broker.exchange.functions(&caller.account, &after, most).await?;
        let told: Vec<Value> = page.functions.iter().map(|function| described(function, None)).collect();
        let mut answer = json!({"Functions": told});
        if let Some(next) = page.next {
            answer["NextMarker"] = json!(next);
        }
        Ok::<_, ApiError>(Json(answer))
    };
    listed.await.map_or_else(errors::respond, IntoResponse::into_response)
}

/// Handles `GET /2015-03-31/functions/{FunctionName}`.
pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Path(name): Path<String>,
    Query(asked): Query<QualifierQuery>,
) -> Response {
    let found = async {
        let (function, revision) = find(&broker, caller, &name, asked.qualifier.as_deref()).await?;
        let configuration = described(&function, revision);
        Ok::<_, ApiError>(Json(json!({"Configuration": configuration, "Code": {}, "Tags": function.settings.labels})))
    };
    found.await.map_or_else(errors::respond, IntoResponse::into_response)
}

/// Handles `GET /2015-03-31/functions/{FunctionName}/configuration`.
pub(crate) async fn configuration(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Path(name): Path<String>,
    Query(asked): Query<QualifierQuery>,
) -> Response {
    let found = async {
        let (function, revision) = find(&broker, caller, &name, asked.qualifier.as_deref()).await?;
        Ok::<_, ApiError>(Json(described(&function, revision)))
    };
    found.await.map_or_else(errors::respond, IntoResponse::into_response)
}

/// Returns the function and the revision that is asked for; none without a qualifier.
async fn find(
    broker: &Broker,
    caller: Result<Caller, ApiError>,
    name: &str,
    qualifier: Option<&str>,
) -> Result<(Function, Option<u32>), ApiError> {
    let caller = caller?;
    caller.must_call()?;
    let (name, qualifier) = names::function(name, qualifier)?;
    let function = must_find(broker, &caller, name.as_str()).await?;
    let revision = match qualifier {
        None => None,
        Some(Qualifier::Number(number)) => Some(number),
        Some(Qualifier::Alias(alias)) if alias == "live" => Some(function.live),
        Some(Qualifier::Alias(alias)) => {
            let found = function.aliases.get(&alias).copied();
            Some(found.ok_or_else(|| ApiError::not_found(format!("there is no `{name}:{alias}`")))?)
        }
    };
    let there = revision.is_none_or(|number| number >= 1 && number as usize <= function.revisions.len());
    if !there {
        return Err(ApiError::not_found(format!("`{name}` has no such version")));
    }
    Ok((function, revision))
}

/// Returns the configuration, as Lambda's clients know it, of a revision or of that of `live`.
fn described(function: &Function, revision: Option<u32>) -> Value {
    let number = revision.unwrap_or(function.live);
    let code = function.revisions.get(number.saturating_sub(1) as usize).cloned().unwrap_or_default();
    let mut configuration = json!({
        "FunctionName": function.name,
        "FunctionArn": names::arn(&function.name),
        "Version": revision.map_or("$LATEST".to_owned(), |number| number.to_string()),
        "Runtime": "provided",
        "Handler": function.name,
        "MemorySize": code.memory_mb,
        "Timeout": code.timeout_ms.div_ceil(1000).max(1),
        "PackageType": "Zip",
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "CodeSha256": STANDARD.encode(&code.module),
    });
    if !code.environment.is_empty() {
        let variables: Map<String, Value> =
            code.environment.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        configuration["Environment"] = json!({"Variables": variables});
    }
    configuration
}
