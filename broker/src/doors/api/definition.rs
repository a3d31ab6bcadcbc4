//! The bodies that define functions and aliases, checked field by field.

use std::collections::BTreeMap;

use merit_adapters::http;
use merit_terms::{Budget, Money, Name, Price};
use rust_decimal::Decimal as Exact;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::exchange::functions::{Audience, Canary, Code, FunctionLimits, FunctionSettings};
use crate::json::{check_budgets, check_fields, read, typed};

/// Default of a definition, in MB.
const MEMORY_MB: u32 = 128;
/// Default of a definition, in ms.
const TIMEOUT_MS: u32 = 3000;

/// Fields of a definition.
pub(super) const FIELDS: [&str; 14] = [
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
    "logs",
];
const PUBLIC_FIELDS: [&str; 1] = ["requests_per_second"];
const DEPLOYMENT_FIELDS: [&str; 2] = ["provider", "target"];
/// Most deployments of one revision at the exchange.
const DEPLOYMENTS_MAX: usize = 64;
const LIMIT_FIELDS: [&str; 5] = ["max_cost", "max_price", "max_latency_ms", "only", "ignore"];

/// The body of `PUT /v1/functions/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    #[serde(default = "default_memory_mb")]
    memory_mb: u32,
    #[serde(default = "default_timeout_ms")]
    timeout_ms: u32,
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    providers: Option<ProvidersField>,
    #[serde(default)]
    markets: Vec<String>,
    #[serde(default)]
    max_concurrency: Option<u32>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    limits: Option<LimitsField>,
    #[serde(default)]
    budgets: Vec<Budget>,
    #[serde(default)]
    deployments: Vec<Deployment>,
    /// SHA-256 of a module that was uploaded before; none keeps that of the newest revision.
    #[serde(default)]
    module: Option<String>,
    /// Set for a function that anybody may call, on the bill of its account.
    #[serde(default)]
    public: Option<PublicRate>,
    /// `false` for a function whose log is neither kept nor told.
    #[serde(default = "default_logs")]
    logs: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicRate {
    requests_per_second: u32,
}

fn default_memory_mb() -> u32 {
    MEMORY_MB
}

fn default_timeout_ms() -> u32 {
    TIMEOUT_MS
}

fn default_logs() -> bool {
    true
}

/// A deployment of a revision, beside its module.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deployment {
    provider: String,
    /// Path or URL at a function server; empty where its endpoint is the function.
    target: String,
}

/// `"own"`, `"any"`, or a list of names.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"own\", \"any\" or a list of names")]
enum ProvidersField {
    Word(String),
    Listed(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsField {
    max_cost: Option<Money>,
    max_price: Option<Price>,
    max_latency_ms: Option<u32>,
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    ignore: Vec<String>,
}

/// Reads the fields of a definition, or of a patch of one. Refuses unknown fields.
pub(super) fn fields(body: &[u8]) -> Result<Value, ApiError> {
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
    Ok(value)
}

impl Definition {
    /// Reads a definition of known fields.
    pub(super) fn of(fields: Value) -> Result<Definition, ApiError> {
        typed(fields)
    }

    pub(super) fn code(&self) -> Result<Code, ApiError> {
        let module = match &self.module {
            None => Vec::new(),
            Some(digest) => hex::decode(digest)
                .ok()
                .filter(|digest| digest.len() == 32)
                .ok_or_else(|| ApiError::malformed("module: a SHA-256 digest has 64 hexadecimal digits"))?,
        };
        Ok(Code {
            memory_mb: self.memory_mb,
            timeout_ms: self.timeout_ms,
            environment: self.environment.clone(),
            module,
            deployments: deployments(&self.deployments)?,
        })
    }

    pub(super) fn settings(self) -> Result<FunctionSettings, ApiError> {
        let audience = match self.providers {
            None => Audience::Own,
            Some(ProvidersField::Listed(names)) => Audience::Listed(names),
            Some(ProvidersField::Word(word)) if word == "own" => Audience::Own,
            Some(ProvidersField::Word(word)) if word == "any" => Audience::Any,
            Some(ProvidersField::Word(word)) => {
                let message = format!("providers: `{word}` is not known; \"own\", \"any\" or a list of names");
                return Err(ApiError::malformed(message));
            }
        };
        let limits = self.limits.map(|limits| FunctionLimits {
            max_cost: limits.max_cost.map(Money::picodollars),
            max_price: limits.max_price.map(Price::picodollars),
            max_latency_ms: limits.max_latency_ms,
            only: limits.only,
            ignore: limits.ignore,
            ..FunctionLimits::default()
        });
        Ok(FunctionSettings {
            idempotent: self.idempotent,
            audience,
            markets: self.markets,
            max_concurrency: self.max_concurrency,
            labels: self.labels,
            limits,
            budgets: self.budgets,
            public_per_second: self.public.map(|public| public.requests_per_second),
            logs_off: !self.logs,
        })
    }
}

/// Returns the code of a function that is made by its module alone.
pub(super) fn new_code() -> Code {
    Code { memory_mb: MEMORY_MB, timeout_ms: TIMEOUT_MS, ..Code::default() }
}

/// Reads deployments. Refuses a provider that stands twice, and a target that cannot be called.
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

/// Refuses a target that is no path, no URL, and no provider's own name of a function, such as an ARN.
fn check_target(target: &str) -> Result<(), String> {
    let is_http = target.starts_with('/') || target.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http"));
    if is_http || target.is_empty() {
        return http::check_target(target).map_err(|error| error.to_string());
    }
    let is_name = target.len() <= http::TARGET_MAX_BYTES && target.bytes().all(|byte| byte.is_ascii_graphic());
    if is_name { Ok(()) } else { Err(format!("visible ASCII, at most {} bytes", http::TARGET_MAX_BYTES)) }
}

#[derive(Deserialize)]
pub(super) struct AliasBody {
    pub(super) revision: u32,
    /// Share of the calls by revision; at most one besides the alias's own.
    #[serde(default)]
    weights: BTreeMap<String, Value>,
}

impl AliasBody {
    pub(super) fn read(body: &[u8]) -> Result<AliasBody, ApiError> {
        read(body, &["revision", "weights"])
    }

    pub(super) fn canary(&self) -> Result<Option<Canary>, ApiError> {
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
        Ok(Some(Canary { revision, weight }))
    }
}

/// Returns a part of 1 in thousandths; none if it is finer or no part.
fn thousandths(part: &Value) -> Option<u32> {
    let part: Exact = match part {
        Value::Number(number) => number.to_string().parse().ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let thousandths = part * Exact::from(1000);
    (thousandths.fract().is_zero() && thousandths <= Exact::from(1000)).then(|| thousandths.to_u32())?
}

#[cfg(test)]
#[path = "../../../tests/unit/doors/api/definition.rs"]
mod tests;
