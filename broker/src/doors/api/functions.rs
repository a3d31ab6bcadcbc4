//! Functions: definitions, revisions, aliases and modules.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Deserialize;
use serde_json::{Value, json};

use super::definition::{AliasBody, Definition, fields, new_code};
use super::definition_change::{check_reset, patched};
use super::function_rows::{deployments_json, function_json, module_json, readiness_json};
use super::past_query::check;
use super::rows::{JsonAnswer, accepted};
use crate::broker::Broker;
use crate::caller::{Caller, Client};
use crate::doors::names::path_name;
use crate::doors::request::{Path, Query, Sent};
use crate::error::ApiError;
use crate::exchange::functions::{Code, Function, FunctionSettings};
use crate::limits::MODULE_MAX_BYTES;

/// Most functions on a page.
const PAGE_MAX: u32 = 1_000;
/// Functions on a page whose query has no limit.
const PAGE_DEFAULT: u32 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutQuery {
    /// `true` resets the fields that the definition does not name.
    reset: Option<bool>,
}

pub(crate) async fn put(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Query(asked): Query<PutQuery>,
    Sent(body): Sent,
) -> JsonAnswer {
    let name = path_name(&name)?;
    let named = fields(&body)?;
    let definition = Definition::of(named.clone())?;
    let code = definition.code()?;
    let settings = definition.settings()?;
    let put = |present: Option<Function>| match present {
        Some(present) if asked.reset != Some(true) => check_reset(&present, &named).map(|()| (code, settings)),
        _ => Ok((code, settings)),
    };
    Ok(Json(function_json(&broker.exchange.change_function(&caller.account, name, put).await?)))
}

/// Changes the fields of a definition that a JSON merge patch names. `null` sets the default of a field.
pub(crate) async fn patch(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let name = path_name(&name)?;
    let patch = fields(&body)?;
    let absent = no_function(&name);
    let change = |present: Option<Function>| patched(&present.ok_or(absent)?, patch);
    match broker.exchange.change_function(&caller.account, name.clone(), change).await {
        Ok(function) => Ok(Json(function_json(&function))),
        Err(error) => Err(broker.exchange.near_function(error, &caller.account, &name).await),
    }
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
    let with_module = |present: Option<Function>| {
        let (code, settings) = match present {
            Some(function) => (function.revisions.last().cloned().unwrap_or_default(), function.settings),
            None => (new_code(), FunctionSettings::default()),
        };
        Ok((Code { module: digest, ..code }, settings))
    };
    Ok(Json(function_json(&broker.exchange.change_function(&caller.account, name, with_module).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModuleQuery {
    revision: Option<usize>,
}

/// Answers with the module of a revision, the newest by default.
pub(crate) async fn get_module(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Query(asked): Query<ModuleQuery>,
) -> Result<Response, ApiError> {
    let function = must_find(&broker, &caller, &name).await?;
    let number = asked.revision.unwrap_or(function.revisions.len());
    let revision = number.checked_sub(1).and_then(|index| function.revisions.get(index));
    let missing = |what: &str| ApiError::not_found(format!("revision {number} of `{name}` {what}"));
    let digest = revision.ok_or_else(|| missing("does not exist"))?.module.clone();
    if digest.is_empty() {
        return Err(missing("has no module"));
    }
    broker.rates.count(&caller.account).await?;
    let module = Body::from_stream(broker.exchange.module(digest).await?);
    Ok(([(header::CONTENT_TYPE, "application/wasm")], module).into_response())
}

fn no_function(name: &str) -> ApiError {
    ApiError::not_found(format!("there is no function `{name}`"))
}

/// Returns a function of the caller's account. Refuses a name that it does not have.
pub(in crate::doors) async fn must_find(broker: &Broker, caller: &Caller, name: &str) -> Result<Function, ApiError> {
    let name = path_name(name)?;
    match broker.exchange.find_function(&caller.account, &name).await? {
        Some(function) => Ok(function),
        None => Err(broker.exchange.near_function(no_function(&name), &caller.account, &name).await),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionsQuery {
    limit: Option<u32>,
    /// `next` of the page before: the name after which the page begins.
    cursor: Option<String>,
}

/// Lists the functions of the caller's account by name, page by page.
pub(crate) async fn list(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Query(asked): Query<FunctionsQuery>,
) -> JsonAnswer {
    check(None, None, asked.limit, PAGE_MAX)?;
    let after = asked.cursor.map(|cursor| path_name(&cursor)).transpose()?.unwrap_or_default();
    let page = broker.exchange.functions(&caller.account, &after, asked.limit.unwrap_or(PAGE_DEFAULT)).await?;
    let functions: Vec<Value> = page.functions.iter().map(function_json).collect();
    Ok(Json(match page.next {
        Some(next) => json!({"functions": functions, "next": next}),
        None => json!({"functions": functions}),
    }))
}

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
) -> JsonAnswer {
    let function = must_find(&broker, &caller, &name).await?;
    let mut told = function_json(&function);
    let has_module = function.revisions.last().is_some_and(|newest| !newest.module.is_empty());
    told["readiness"] = if has_module {
        let told = broker.exchange.readiness(&caller.account, &function.name, newest(&function)).await;
        // The function is told also where this is not known now.
        told.map_or(Value::Null, |told| readiness_json(&told))
    } else {
        json!([])
    };
    Ok(Json(told))
}

/// Returns the number of the newest revision.
fn newest(function: &Function) -> u32 {
    u32::try_from(function.revisions.len()).unwrap_or(u32::MAX)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WarmQuery {
    /// The newest one if it is left out.
    revision: Option<u32>,
}

/// Asks the providers to which calls may go to load the module of a revision.
pub(crate) async fn warm(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Query(asked): Query<WarmQuery>,
) -> JsonAnswer {
    let function = must_find(&broker, &caller, &name).await?;
    let number = asked.revision.unwrap_or(newest(&function));
    let revision = number.checked_sub(1).and_then(|index| function.revisions.get(index as usize));
    let revision = revision.ok_or_else(|| ApiError::not_found(format!("`{name}` has no revision {number}")))?;
    if revision.module.is_empty() {
        let message = format!("revision {number} of `{name}` has no module, so there is nothing to load");
        return Err(ApiError::unusable(message));
    }
    // It costs the exchange the same search as a quote.
    broker.rates.count(&caller.account).await?;
    let told = broker.exchange.warm(&caller.account, &function.name, number).await?;
    Ok(Json(json!({"revision": number, "readiness": readiness_json(&told)})))
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
