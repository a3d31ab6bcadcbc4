//! Functions: definitions, revisions, aliases and modules.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::definition::{AliasBody, Definition, new_code};
use super::rows::{JsonAnswer, accepted, budget};
use crate::broker::Broker;
use crate::caller::{Caller, Client};
use crate::doors::names::path_name;
use crate::doors::request::{Path, Query, Sent};
use crate::error::ApiError;
use crate::exchange::functions::{Audience, Canary, Code, Function, FunctionSettings};
use crate::json::decimal;
use crate::limits::MODULE_MAX_BYTES;

fn deployments_json(code: &Code) -> Value {
    let told = |(provider, target): (&String, &String)| json!({"provider": provider, "target": target});
    code.deployments.iter().map(told).collect()
}

pub(crate) async fn put(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let name = path_name(&name)?;
    let definition = Definition::read(&body)?;
    let code = definition.code()?;
    let settings = definition.settings()?;
    Ok(Json(function_json(&broker.exchange.put_function(&caller.account, name, code, settings).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadQuery {
    /// `false` keeps the module for a definition that names it, and makes no revision.
    revision: Option<bool>,
}

/// Keeps a module and makes it a new revision of the function. Makes a function that is not there, with the defaults.
pub(crate) async fn put_module(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Query(upload): Query<UploadQuery>,
    Sent(module): Sent<MODULE_MAX_BYTES>,
) -> JsonAnswer {
    let name = path_name(&name)?;
    if module.is_empty() {
        return Err(ApiError::unusable("the body is empty; it must be a WebAssembly module"));
    }
    let digest = broker.exchange.put_module(&caller.account, module.to_vec()).await?;
    if upload.revision == Some(false) {
        return Ok(Json(json!({"module": hex::encode(digest)})));
    }
    let (mut code, settings) = match broker.exchange.find_function(&caller.account, &name).await? {
        Some(function) => (function.revisions.last().cloned().unwrap_or_default(), function.settings),
        None => (new_code(), FunctionSettings::default()),
    };
    code.module = digest;
    Ok(Json(function_json(&broker.exchange.put_function(&caller.account, name, code, settings).await?)))
}

/// Returns a function of the caller's account. Refuses a name that it does not have.
pub(in crate::doors) async fn must_find(broker: &Broker, caller: &Caller, name: &str) -> Result<Function, ApiError> {
    let name = path_name(name)?;
    let found = broker.exchange.find_function(&caller.account, &name).await?;
    found.ok_or_else(|| ApiError::not_found(format!("there is no function `{name}`")))
}

pub(crate) async fn list(State(broker): State<Arc<Broker>>, Client(caller): Client) -> JsonAnswer {
    let functions: Vec<Value> = broker.exchange.functions(&caller.account).await?.iter().map(function_json).collect();
    Ok(Json(json!({"functions": functions})))
}

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
) -> JsonAnswer {
    Ok(Json(function_json(&must_find(&broker, &caller, &name).await?)))
}

pub(crate) async fn delete(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
) -> JsonAnswer {
    let name = path_name(&name)?;
    Ok(accepted(broker.exchange.delete_function(&caller.account, name).await?))
}

pub(crate) async fn revisions(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
) -> JsonAnswer {
    let function = must_find(&broker, &caller, &name).await?;
    let revisions = function.revisions.iter().zip(1..).map(|(code, number)| {
        json!({
            "revision": number,
            "memory_mb": code.memory_mb,
            "timeout_ms": code.timeout_ms,
            "environment": code.environment,
            "module": module_json(code),
            "deployments": deployments_json(code),
        })
    });
    Ok(Json(json!({"revisions": revisions.collect::<Vec<_>>()})))
}

/// Returns the share of each alias's canary, by its revision.
fn weights_json(function: &Function) -> Value {
    let told = |(alias, canary): (&String, &Canary)| {
        let part = f64::from(canary.weight) / 1000.0;
        (alias.clone(), json!({canary.revision.to_string(): part}))
    };
    function.canaries.iter().map(told).collect()
}

pub(crate) async fn put_alias(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path((name, alias)): Path<(String, String)>,
    Sent(body): Sent,
) -> JsonAnswer {
    let (name, alias) = (path_name(&name)?, path_name(&alias)?);
    let put = AliasBody::read(&body)?;
    let canary = put.canary()?;
    let function = broker.exchange.put_alias(&caller.account, name, alias, put.revision, canary).await?;
    Ok(Json(function_json(&function)))
}

fn module_json(code: &Code) -> Value {
    if code.module.is_empty() { Value::Null } else { json!(hex::encode(&code.module)) }
}

fn function_json(function: &Function) -> Value {
    let settings = &function.settings;
    let providers = match &settings.audience {
        Audience::Any => json!("any"),
        Audience::Listed(providers) => json!(providers),
        Audience::Own => json!("own"),
    };
    let newest = function.revisions.last().cloned().unwrap_or_default();
    let limits = settings.limits.clone().unwrap_or_default();
    let mut aliases = function.aliases.clone();
    aliases.insert("live".to_owned(), function.live);
    json!({
        "name": function.name,
        "account": function.account,
        "revision": function.revisions.len(),
        "memory_mb": newest.memory_mb,
        "timeout_ms": newest.timeout_ms,
        "module": module_json(&newest),
        "deployments": deployments_json(&newest),
        "environment": newest.environment,
        "idempotent": settings.idempotent,
        "providers": providers,
        "markets": settings.markets,
        "max_concurrency": settings.max_concurrency,
        "labels": settings.labels,
        "limits": {
            "max_cost": limits.max_cost.map(decimal),
            "max_price": limits.max_price.map(decimal),
            "max_latency_ms": limits.max_latency_ms,
            "only": limits.only,
            "ignore": limits.ignore,
        },
        "budgets": function.spending.iter().map(budget).collect::<Vec<_>>(),
        "aliases": aliases,
        "weights": weights_json(function),
        "running": function.running,
        "public": settings.public_per_second.map(|rate| json!({"requests_per_second": rate})),
    })
}

#[cfg(test)]
#[path = "../../../tests/unit/doors/api/functions.rs"]
mod tests;
