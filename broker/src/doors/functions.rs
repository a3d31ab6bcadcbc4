//! Functions: definitions, revisions, aliases, and module upload.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use merit_proto::v1;
use merit_proto::v1::audience::Kind;
use merit_terms::{Budget, Money, Price};
use serde::Deserialize;
use serde_json::{Value, json};

use super::path_name;
use crate::auth::{Caller, Client};
use crate::error::ApiError;
use crate::exchange::answer;
use crate::extract::{Path, Query};
use crate::json::{check_budgets, check_fields, decimal, read, spending, typed};
use crate::serve::State as Broker;

/// What a definition leaves out.
const MEMORY_MB: u32 = 128;
const TIMEOUT_MS: u32 = 3000;

const FIELDS: [&str; 12] = [
    "memory_mb",
    "timeout_ms",
    "idempotent",
    "providers",
    "markets",
    "max_concurrency",
    "labels",
    "environment",
    "limits",
    "budgets",
    "deployments",
    "module",
];
const LIMIT_FIELDS: [&str; 5] = ["max_cost", "max_price", "max_latency_ms", "only", "ignore"];

/// The body of `PUT /v1/functions/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    #[serde(default = "default_memory_mb")]
    memory_mb: u32,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u32,
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    providers: Option<Providers>,
    #[serde(default)]
    markets: Vec<String>,
    #[serde(default)]
    max_concurrency: Option<u32>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    limits: Option<Limits>,
    #[serde(default)]
    budgets: Vec<Budget>,
    #[serde(default)]
    deployments: Vec<Value>,
    /// The SHA-256 of a module that was uploaded before; the newest revision's otherwise.
    #[serde(default)]
    module: Option<String>,
}

fn default_memory_mb() -> u32 {
    MEMORY_MB
}

fn default_timeout_ms() -> u32 {
    TIMEOUT_MS
}

/// `"own"`, `"any"`, or a list of names.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"own\", \"any\" or a list of names")]
enum Providers {
    Word(String),
    Listed(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    max_cost: Option<Money>,
    max_price: Option<Price>,
    max_latency_ms: Option<u32>,
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    ignore: Vec<String>,
}

impl Definition {
    fn read(body: &[u8]) -> Result<Definition, ApiError> {
        let value: Value = read(body, &FIELDS)?;
        if let Some(Value::Object(limits)) = value.get("limits") {
            check_fields("limits.", limits, &LIMIT_FIELDS)?;
        }
        check_budgets(&value)?;
        let definition: Definition = typed(value)?;
        // Accepting what is not enforced would be worse than refusing it.
        if !definition.deployments.is_empty() {
            return Err(ApiError::not_implemented("deployments other than a WebAssembly module"));
        }
        Ok(definition)
    }

    fn code(&self) -> Result<v1::Code, ApiError> {
        let module = match &self.module {
            None => Vec::new(),
            Some(digest) => hex::decode(digest)
                .ok()
                .filter(|digest| digest.len() == 32)
                .ok_or_else(|| ApiError::malformed("module: a SHA-256 digest has 64 hexadecimal digits"))?,
        };
        Ok(v1::Code {
            memory_mb: self.memory_mb,
            timeout_ms: self.timeout_ms,
            environment: self.environment.clone(),
            module,
            deployments: BTreeMap::new(),
        })
    }

    fn settings(self) -> Result<v1::FunctionSettings, ApiError> {
        let (kind, providers) = match self.providers {
            None => (Kind::Own, Vec::new()),
            Some(Providers::Listed(names)) => (Kind::Listed, names),
            Some(Providers::Word(word)) if word == "own" => (Kind::Own, Vec::new()),
            Some(Providers::Word(word)) if word == "any" => (Kind::Any, Vec::new()),
            Some(Providers::Word(word)) => {
                let message = format!("providers: `{word}` is not known; \"own\", \"any\" or a list of names");
                return Err(ApiError::malformed(message));
            }
        };
        let limits = self.limits.map(|limits| v1::Limits {
            max_cost: limits.max_cost.map(Money::picodollars),
            max_price: limits.max_price.map(Price::picodollars),
            max_latency_ms: limits.max_latency_ms,
            only: limits.only,
            ignore: limits.ignore,
            ..v1::Limits::default()
        });
        Ok(v1::FunctionSettings {
            idempotent: self.idempotent,
            audience: Some(v1::Audience { kind: kind.into(), providers }),
            markets: self.markets,
            max_concurrency: self.max_concurrency,
            labels: self.labels,
            limits,
            budgets: self.budgets.iter().map(Into::into).collect(),
        })
    }
}

pub(crate) async fn put(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let name = path_name(&name)?;
    let definition = Definition::read(&body)?;
    let code = definition.code()?;
    let request = v1::PutFunctionRequest {
        account: caller.account.to_string(),
        name,
        code: Some(code),
        settings: Some(definition.settings()?),
    };
    put_function(&broker, request).await
}

async fn put_function(broker: &Broker, request: v1::PutFunctionRequest) -> Result<Json<Value>, ApiError> {
    let mut client = broker.exchange.registry.clone();
    Ok(Json(function_json(&answer(client.put_function(request)).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upload {
    /// `false`: keep the module for a definition that names it, and make no revision.
    revision: Option<bool>,
}

/// Keeps a module and makes it a new revision of the function; one that is not there yet is made with the defaults.
pub(crate) async fn put_module(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Query(upload): Query<Upload>,
    module: Bytes,
) -> Result<Json<Value>, ApiError> {
    let name = path_name(&name)?;
    if module.is_empty() {
        return Err(ApiError::unusable("the body is empty; it must be a WebAssembly module"));
    }
    let mut modules = broker.exchange.modules.clone();
    let kept = answer(modules.put(v1::PutModuleRequest { module: module.to_vec() })).await?;
    if upload.revision == Some(false) {
        return Ok(Json(json!({"module": hex::encode(kept.digest)})));
    }
    let (mut code, settings) = match find(&broker, &caller, &name).await? {
        Some(function) => (function.revisions.last().cloned().unwrap_or_default(), function.settings),
        None => {
            let code = v1::Code { memory_mb: MEMORY_MB, timeout_ms: TIMEOUT_MS, ..v1::Code::default() };
            (code, Some(v1::FunctionSettings::default()))
        }
    };
    code.module = kept.digest;
    let request = v1::PutFunctionRequest { account: caller.account.to_string(), name, code: Some(code), settings };
    put_function(&broker, request).await
}

async fn find(broker: &Broker, caller: &Caller, name: &str) -> Result<Option<v1::Function>, ApiError> {
    let mut client = broker.exchange.registry.clone();
    let request = v1::GetFunctionRequest { account: caller.account.to_string(), name: name.to_owned() };
    match answer(client.get_function(request)).await {
        Ok(function) => Ok(Some(function)),
        Err(error) if error.status == http::StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) async fn must_find(broker: &Broker, caller: &Caller, name: &str) -> Result<v1::Function, ApiError> {
    let name = path_name(name)?;
    find(broker, caller, &name).await?.ok_or_else(|| ApiError::not_found(format!("there is no function `{name}`")))
}

/// Every function of the caller's account.
pub(super) async fn all(broker: &Broker, caller: &Caller) -> Result<Vec<v1::Function>, ApiError> {
    let mut client = broker.exchange.registry.clone();
    let listed =
        answer(client.list_functions(v1::ListFunctionsRequest { account: caller.account.to_string() })).await?;
    Ok(listed.functions)
}

pub(crate) async fn list(State(broker): State<Arc<Broker>>, Client(caller): Client) -> Result<Json<Value>, ApiError> {
    let functions: Vec<Value> = all(&broker, &caller).await?.iter().map(function_json).collect();
    Ok(Json(json!({"functions": functions})))
}

pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(function_json(&must_find(&broker, &caller, &name).await?)))
}

pub(crate) async fn delete(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let name = path_name(&name)?;
    let mut client = broker.exchange.registry.clone();
    let deleted =
        answer(client.delete_function(v1::DeleteFunctionRequest { account: caller.account.to_string(), name })).await?;
    Ok(Json(json!({"sequence": deleted.sequence})))
}

pub(crate) async fn revisions(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let function = must_find(&broker, &caller, &name).await?;
    let revisions = function.revisions.iter().zip(1..).map(|(code, number)| {
        json!({
            "revision": number,
            "memory_mb": code.memory_mb,
            "timeout_ms": code.timeout_ms,
            "environment": code.environment,
            "module": module_json(code),
        })
    });
    Ok(Json(json!({"revisions": revisions.collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
struct Alias {
    revision: u32,
}

pub(crate) async fn put_alias(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path((name, alias)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (name, alias) = (path_name(&name)?, path_name(&alias)?);
    let Alias { revision } = read(&body, &["revision"])?;
    let mut client = broker.exchange.registry.clone();
    let request = v1::PutAliasRequest { account: caller.account.to_string(), name, alias, revision };
    Ok(Json(function_json(&answer(client.put_alias(request)).await?)))
}

fn module_json(code: &v1::Code) -> Value {
    if code.module.is_empty() { Value::Null } else { json!(hex::encode(&code.module)) }
}

fn function_json(function: &v1::Function) -> Value {
    let settings = function.settings.clone().unwrap_or_default();
    let audience = settings.audience.unwrap_or_default();
    let providers = match audience.kind() {
        Kind::Any => json!("any"),
        Kind::Listed => json!(audience.providers),
        Kind::Own | Kind::Unspecified => json!("own"),
    };
    let newest = function.revisions.last().cloned().unwrap_or_default();
    let limits = settings.limits.unwrap_or_default();
    let mut aliases = function.aliases.clone();
    aliases.insert("live".to_owned(), function.live);
    json!({
        "name": function.name,
        "account": function.account,
        "revision": function.revisions.len(),
        "memory_mb": newest.memory_mb,
        "timeout_ms": newest.timeout_ms,
        "module": module_json(&newest),
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
        "budgets": function.spending.iter().map(spending).collect::<Vec<_>>(),
        "aliases": aliases,
        "running": function.running,
    })
}
