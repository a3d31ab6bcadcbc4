//! A function as JSON: its definition as `PUT` takes it, and all that is told of it.

use serde_json::{Value, json};

use super::rows::budget;
use crate::exchange::functions::{Audience, Canary, Code, Function, ProviderReadiness, ReadinessState};
use crate::json::decimal;

/// Returns the definition of a function, with every field.
pub(super) fn definition_json(function: &Function) -> Value {
    let settings = &function.settings;
    let providers = match &settings.audience {
        Audience::Any => json!("any"),
        Audience::Listed(providers) => json!(providers),
        Audience::Own => json!("own"),
    };
    let newest = function.revisions.last().cloned().unwrap_or_default();
    let limits = settings.limits.clone().unwrap_or_default();
    json!({
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
        "budgets": settings.budgets,
        "public": settings.public_per_second.map(|rate| json!({"requests_per_second": rate})),
        "logs": !settings.logs_off,
    })
}

/// Returns a function with its budgets' use, its aliases and its running calls.
pub(super) fn function_json(function: &Function) -> Value {
    let mut told = definition_json(function);
    let mut aliases = function.aliases.clone();
    aliases.insert("live".to_owned(), function.live);
    told["name"] = json!(function.name);
    told["account"] = json!(function.account);
    told["revision"] = json!(function.revisions.len());
    told["budgets"] = function.spending.iter().map(budget).collect();
    told["aliases"] = json!(aliases);
    told["weights"] = weights_json(function);
    told["running"] = json!(function.running);
    told
}

/// Returns providers that may run a revision's module, with its readiness there.
pub(super) fn readiness_json(told: &[ProviderReadiness]) -> Value {
    let row = |of: &ProviderReadiness| {
        let (state, retry_after_s, reason) = match &of.state {
            ReadinessState::Unknown => ("unknown", None, None),
            ReadinessState::Ready => ("ready", None, None),
            ReadinessState::Warming { retry_after_s } => ("warming", Some(retry_after_s), None),
            ReadinessState::Refused { reason } => ("refused", None, Some(reason)),
        };
        json!({"provider": of.provider, "state": state, "retry_after_s": retry_after_s, "reason": reason})
    };
    told.iter().map(row).collect()
}

pub(super) fn module_json(code: &Code) -> Value {
    if code.module.is_empty() { Value::Null } else { json!(hex::encode(&code.module)) }
}

pub(super) fn deployments_json(code: &Code) -> Value {
    let told = |(provider, target): (&String, &String)| json!({"provider": provider, "target": target});
    code.deployments.iter().map(told).collect()
}

/// Returns the share of each alias's canary, by its revision.
fn weights_json(function: &Function) -> Value {
    let told = |(alias, canary): (&String, &Canary)| {
        let part = f64::from(canary.weight) / 1000.0;
        (alias.clone(), json!({canary.revision.to_string(): part}))
    };
    function.canaries.iter().map(told).collect()
}

#[cfg(test)]
#[path = "../../../tests/unit/doors/api/function_rows.rs"]
mod tests;
