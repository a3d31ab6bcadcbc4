//! Functions: definitions, revisions, aliases, and module upload.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use merit_adapters::http;
use merit_proto::v1;
use merit_proto::v1::audience::Kind;
use merit_terms::{Budget, Money, Name, Price};
use rust_decimal::Decimal as Exact;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::MODULE_MAX_BYTES;
use crate::caller::{Caller, Client};
use crate::doors::path_name;
use crate::doors::request::{Path, Query, Sent};
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{check_budgets, check_fields, decimal, read, spending, typed};
use crate::server::State as Broker;

/// What a definition leaves out.
const MEMORY_MB: u32 = 128;
const TIMEOUT_MS: u32 = 3000;

const FIELDS: [&str; 13] = [
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
    "public",
];
const PUBLIC_FIELDS: [&str; 1] = ["requests_per_second"];
const DEPLOYMENT_FIELDS: [&str; 2] = ["provider", "target"];
/// What the exchange takes of one revision.
const DEPLOYMENTS_MAX: usize = 64;
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
    deployments: Vec<Deployment>,
    /// The SHA-256 of a module that was uploaded before; the newest revision's otherwise.
    #[serde(default)]
    module: Option<String>,
    /// Whether others may call it, without a key too, on the bill of its account.
    #[serde(default)]
    public: Option<Public>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Public {
    requests_per_second: u32,
}

fn default_memory_mb() -> u32 {
    MEMORY_MB
}

fn default_timeout_ms() -> u32 {
    TIMEOUT_MS
}

/// Where a revision is deployed apart from its module.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deployment {
    provider: String,
    /// What to call there: at a function server a path or a URL, or nothing where its endpoint is the function.
    target: String,
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
        if let Some(Value::Object(public)) = value.get("public") {
            check_fields("public.", public, &PUBLIC_FIELDS)?;
        }
        check_budgets(&value)?;
        let deployments = value.get("deployments").and_then(Value::as_array).into_iter().flatten();
        let mut deployments = deployments.filter_map(Value::as_object);
        deployments.try_for_each(|deployment| check_fields("deployments.", deployment, &DEPLOYMENT_FIELDS))?;
        typed(value)
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
            deployments: deployments(&self.deployments)?,
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
            public_per_second: self.public.map(|public| public.requests_per_second),
        })
    }
}

/// Where a revision is deployed: each provider once, with a target that it may be called by.
fn deployments(listed: &[Deployment]) -> Result<BTreeMap<String, String>, ApiError> {
    if listed.len() > DEPLOYMENTS_MAX {
        return Err(ApiError::malformed(format!("deployments: {}; at most {DEPLOYMENTS_MAX}", listed.len())));
    }
    let mut deployments = BTreeMap::new();
    for (Deployment { provider, target }, index) in listed.iter().zip(0..) {
        let wrong = |what: &str, why: String| Err(ApiError::malformed(format!("deployments[{index}].{what}: {why}")));
        if let Err(error) = provider.parse::<Name>() {
            return wrong("provider", error.to_string());
        }
        if let Err(why) = check_target(target) {
            return wrong("target", why);
        }
        if deployments.insert(provider.clone(), target.clone()).is_some() {
            return wrong("provider", format!("`{provider}` stands there twice"));
        }
    }
    Ok(deployments)
}

/// A path or a URL as a function server is called, or a provider's own name of a function, such as an ARN.
fn check_target(target: &str) -> Result<(), String> {
    let is_http = target.starts_with('/') || target.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http"));
    if is_http || target.is_empty() {
        return http::check_target(target).map_err(|error| error.to_string());
    }
    let is_name = target.len() <= http::TARGET_MAX_BYTES && target.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name { Ok(()) } else { Err(format!("visible ASCII, at most {} bytes", http::TARGET_MAX_BYTES)) }
}

fn deployments_json(code: &v1::Code) -> Value {
    let told = |(provider, target): (&String, &String)| json!({"provider": provider, "target": target});
    code.deployments.iter().map(told).collect()
}

pub(crate) async fn put(
    State(broker): State<Arc<Broker>>,
    Client(caller): Client,
    Path(name): Path<String>,
    Sent(body): Sent,
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
    Sent(module): Sent<MODULE_MAX_BYTES>,
) -> Result<Json<Value>, ApiError> {
    let name = path_name(&name)?;
    if module.is_empty() {
        return Err(ApiError::unusable("the body is empty; it must be a WebAssembly module"));
    }
    let mut modules = broker.exchange.modules.clone();
    let kept =
        answer(modules.put(v1::PutModuleRequest { module: module.to_vec(), account: caller.account.to_string() }))
            .await?;
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
        Err(error) if error.status == StatusCode::NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

pub(in crate::doors) async fn must_find(
    broker: &Broker,
    caller: &Caller,
    name: &str,
) -> Result<v1::Function, ApiError> {
    let name = path_name(name)?;
    find(broker, caller, &name).await?.ok_or_else(|| ApiError::not_found(format!("there is no function `{name}`")))
}

/// Every function of the caller's account.
pub(in crate::doors) async fn all(broker: &Broker, caller: &Caller) -> Result<Vec<v1::Function>, ApiError> {
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
            "deployments": deployments_json(code),
        })
    });
    Ok(Json(json!({"revisions": revisions.collect::<Vec<_>>()})))
}

#[derive(Deserialize)]
struct Alias {
    revision: u32,
    /// Of other revisions, at most one: the part of the calls that it gets.
    #[serde(default)]
    weights: BTreeMap<String, Value>,
}

impl Alias {
    fn canary(&self) -> Result<Option<v1::Canary>, ApiError> {
        let mut weights = self.weights.iter();
        let Some((revision, weight)) = weights.next() else { return Ok(None) };
        if weights.next().is_some() {
            return Err(ApiError::malformed("weights: at most one revision besides the alias's own"));
        }
        let revision = revision.parse().map_err(|_| {
            ApiError::malformed(format!("weights: `{revision}` is no revision; they are numbers, such as \"4\""))
        })?;
        let weight = thousandths(weight).ok_or_else(|| {
            ApiError::malformed("weights: a weight is 0 to 1 with at most three decimal places, such as 0.1")
        })?;
        Ok(Some(v1::Canary { revision, weight }))
    }
}

/// A part of 1 in thousandths; none if it is finer than that, or no part.
fn thousandths(part: &Value) -> Option<u32> {
    let part: Exact = match part {
        Value::Number(number) => number.to_string().parse().ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let thousandths = part * Exact::from(1000);
    (thousandths.fract().is_zero() && thousandths <= Exact::from(1000)).then(|| thousandths.to_u32())?
}

/// For each alias with a canary, its part of the calls by its revision.
fn weights_json(function: &v1::Function) -> Value {
    let told = |(alias, canary): (&String, &v1::Canary)| {
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
) -> Result<Json<Value>, ApiError> {
    let (name, alias) = (path_name(&name)?, path_name(&alias)?);
    let put: Alias = read(&body, &["revision", "weights"])?;
    let canary = put.canary()?;
    let mut client = broker.exchange.registry.clone();
    let request =
        v1::PutAliasRequest { account: caller.account.to_string(), name, alias, revision: put.revision, canary };
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
        "budgets": function.spending.iter().map(spending).collect::<Vec<_>>(),
        "aliases": aliases,
        "weights": weights_json(function),
        "running": function.running,
        "public": settings.public_per_second.map(|rate| json!({"requests_per_second": rate})),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(definition: Value) -> Result<v1::Code, String> {
        let read = Definition::read(definition.to_string().as_bytes());
        read.and_then(|definition| definition.code()).map_err(|error| error.message)
    }

    #[test]
    fn deployments_are_each_provider_once_with_a_target_that_can_be_called() {
        let taken = |target: &str| code(json!({"deployments": [{"provider": "a", "target": target}]}));
        for target in
            ["", "/thumb", "/thumb?code=1", "https://a.example/x", "arn:aws:lambda:us-east-1:1:function:thumb:live"]
        {
            assert_eq!(taken(target).unwrap().deployments["a"], target);
        }
        for target in
            ["//x", "/../x", "http://", "https://u@a", "/x#y", "two words", "caf\u{e9}", "a\nb", &"x".repeat(1025)]
        {
            assert!(taken(target).unwrap_err().starts_with("deployments[0].target: "), "{target}");
        }
        let refused = |deployments: Value| code(json!({"deployments": deployments})).unwrap_err();
        let twice = refused(json!([{"provider": "a", "target": ""}, {"provider": "a", "target": "/x"}]));
        assert!(twice.contains("deployments[1].provider: `a` stands there twice"), "{twice}");
        assert!(refused(json!([{"provider": "A b", "target": ""}])).starts_with("deployments[0].provider: "));
        assert!(refused(json!([{"provider": "a"}])).contains("target"));
        assert!(refused(json!([{"provider": "a", "targte": ""}])).contains("did you mean `target`?"));
        let many: Vec<Value> = (0..65).map(|number| json!({"provider": format!("p{number}"), "target": ""})).collect();
        assert!(refused(json!(many)).contains("at most 64"));
    }

    #[test]
    fn a_weight_is_a_part_of_one_in_thousandths() {
        let canary = |weights: Value| {
            let alias: Alias = serde_json::from_value(json!({"revision": 3, "weights": weights})).unwrap();
            alias.canary().map(|canary| canary.map(|canary| (canary.revision, canary.weight)))
        };
        for (weight, thousandths) in [
            (json!(0.1), 100),
            (json!(0.001), 1),
            (json!(0), 0),
            (json!(1), 1000),
            (json!("0.25"), 250),
            (json!(0.999), 999),
        ] {
            assert_eq!(canary(json!({"4": weight})).unwrap(), Some((4, thousandths)), "{weight}");
        }
        assert_eq!(canary(json!({})).unwrap(), None);
        for weight in [json!(0.0001), json!(1.001), json!(-0.1), json!("a"), json!(null), json!(2), json!(1e30)] {
            assert!(canary(json!({"4": weight})).unwrap_err().message.contains("three decimal places"), "{weight}");
        }
        assert!(canary(json!({"four": 0.1})).is_err());
        assert!(canary(json!({"4": 0.1, "5": 0.1})).unwrap_err().message.contains("at most one"));
        let function = v1::Function {
            canaries: BTreeMap::from([("live".to_owned(), v1::Canary { revision: 4, weight: 100 })]),
            ..v1::Function::default()
        };
        assert_eq!(weights_json(&function), json!({"live": {"4": 0.1}}));
    }
}
