//! Providers: how they stand, and the operator's commands about them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_terms::{Money, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::{JsonAnswer, accepted, period};
use crate::broker::Broker;
use crate::caller::{Operator, ProviderOwner, SeenBy};
use crate::doors::names::path_name;
use crate::doors::request::{Path, Sent};
use crate::exchange::providers::{Health, Provider, ProviderKind, ProviderLimits, ProviderReader, QuotaUse};
use crate::json::{decimal, energy, read};

pub(crate) async fn list(State(broker): State<Arc<Broker>>, seen_by: SeenBy) -> JsonAnswer {
    let reader = match seen_by.is_operator() {
        true => ProviderReader::Operator,
        false => ProviderReader::Account(seen_by.account()),
    };
    let providers = broker.exchange.providers(reader).await?;
    let providers: Vec<Value> = providers.iter().map(|provider| provider_json(provider, &seen_by)).collect();
    Ok(Json(json!({"providers": providers})))
}

fn provider_json(provider: &Provider, seen_by: &SeenBy) -> Value {
    let pools = provider.pools.iter().map(|pool| {
        json!({"memory_mb": pool.memory_mb, "slots": pool.slots, "leased_mb": pool.leased_mb, "leases": pool.leases})
    });
    let limits = &provider.limits;
    let mut told = json!({
        "name": provider.name,
        "account": provider.account,
        "kind": if provider.kind == ProviderKind::Own { "own" } else { "market" },
        "online": provider.online,
        "offers": provider.offers,
        "labels": provider.labels,
        "claimed_labels": provider.claimed_labels,
        "pools": pools.collect::<Vec<_>>(),
        "killed": provider.killed,
    });
    // Targets, limits, quotas and health are for the provider's own account.
    if seen_by.may_see(&provider.account) {
        let own = json!({
            "targets": provider.targets,
            "exposure": provider.exposure.to_string(),
            "limits": {
                "offers": limits.offers,
                "quotes_per_second": limits.quotes_per_second,
                "exposure": limits.exposure.map(decimal),
            },
            "protection": provider.protection.map(|most| json!({"leases": most.leases, "within_ms": most.within_ms})),
            "quotas": provider.quotas.iter().map(quota_json).collect::<Vec<_>>(),
            "health": provider.health.iter().map(health_json).collect::<Vec<_>>(),
        });
        if let (Some(told), Value::Object(own)) = (told.as_object_mut(), own) {
            told.extend(own);
        }
    }
    told
}

fn quota_json(quota: &QuotaUse) -> Value {
    json!({
        "name": quota.name,
        "renews": period(quota.renews),
        "requests": quota.requests,
        "used_requests": quota.used_requests,
        "gb_seconds": quota.energy_mb_ms.map(energy),
        "used_gb_seconds": energy(quota.used_energy_mb_ms),
    })
}

fn health_json(health: &Health) -> Value {
    let revision = health.revision.as_ref();
    json!({
        "function": revision.map(|(function, _)| function),
        "revision": revision.map(|(_, number)| number),
        "failures": health.failures,
        "until": health.until.to_string(),
        "trial": health.trial.map(|lease| lease.to_string()),
        "reason": health.reason,
    })
}

#[derive(Deserialize)]
struct RegisterBody {
    name: Name,
    account: Name,
    kind: KindField,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindField {
    Own,
    Market,
}

pub(crate) async fn register(State(broker): State<Arc<Broker>>, _: Operator, Sent(body): Sent) -> JsonAnswer {
    let RegisterBody { name, account, kind, labels } = read(&body, &["name", "account", "kind", "labels"])?;
    let kind = match kind {
        KindField::Own => ProviderKind::Own,
        KindField::Market => ProviderKind::Market,
    };
    let (name, account) = (name.to_string(), account.to_string());
    Ok(accepted(broker.exchange.register_provider(name, account, kind, labels).await?))
}

#[derive(Deserialize)]
struct KillBody {
    reason: String,
}

pub(crate) async fn kill(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let provider = path_name(&name)?;
    let KillBody { reason } = read(&body, &["reason"])?;
    Ok(accepted(broker.exchange.kill_provider(provider, reason).await?))
}

pub(crate) async fn revive(State(broker): State<Arc<Broker>>, _: Operator, Path(name): Path<String>) -> JsonAnswer {
    let provider = path_name(&name)?;
    Ok(accepted(broker.exchange.revive_provider(provider).await?))
}

#[derive(Deserialize)]
struct LimitsBody {
    offers: Option<u32>,
    quotes_per_second: Option<u32>,
    exposure: Option<Money>,
}

/// Replaces the limits of a provider. A limit that is left out is none.
pub(crate) async fn limits(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let provider = path_name(&name)?;
    let LimitsBody { offers, quotes_per_second, exposure } = read(&body, &["offers", "quotes_per_second", "exposure"])?;
    let limits = ProviderLimits { offers, quotes_per_second, exposure: exposure.map(Money::picodollars) };
    Ok(accepted(broker.exchange.limit_provider(provider, limits).await?))
}

#[derive(Deserialize)]
struct LabelsBody {
    labels: BTreeMap<String, String>,
}

/// Replaces the labels that the operator grants a provider.
pub(crate) async fn labels(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let provider = path_name(&name)?;
    let LabelsBody { labels } = read(&body, &["labels"])?;
    Ok(accepted(broker.exchange.grant_labels(provider, labels).await?))
}

#[derive(Deserialize)]
struct TargetsBody {
    targets: Vec<String>,
}

/// Replaces the targets that functions may name at a provider, beside those at its endpoint.
pub(crate) async fn targets(
    State(broker): State<Arc<Broker>>,
    owner: ProviderOwner,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let provider = path_name(&name)?;
    let TargetsBody { targets } = read(&body, &["targets"])?;
    Ok(accepted(broker.exchange.set_targets(owner.account().to_owned(), provider, targets).await?))
}
