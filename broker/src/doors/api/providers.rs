//! Providers: who sells and how they stand, and what the operator does about them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_proto::v1;
use merit_terms::{Money, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::caller::{Operator, SeenBy};
use crate::doors::request::{Path, Sent};
use crate::doors::{accepted, path_name};
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{decimal, energy, lease_id, period, read, time, wide_decimal};
use crate::server::State as Broker;

type Answer = Result<Json<Value>, ApiError>;

pub(crate) async fn list(State(broker): State<Arc<Broker>>, seen_by: SeenBy) -> Answer {
    let mut client = broker.exchange.registry.clone();
    let listed =
        answer(client.list_providers(v1::ListProvidersRequest { account: seen_by.account().to_owned() })).await?;
    Ok(Json(
        json!({"providers": listed.providers.iter().map(|provider| provider_json(provider, &seen_by)).collect::<Vec<_>>()}),
    ))
}

fn provider_json(provider: &v1::Provider, seen_by: &SeenBy) -> Value {
    let pools = provider.pools.iter().map(|pool| {
        let size = pool.size.unwrap_or_default();
        json!({"memory_mb": size.memory_mb, "slots": size.slots, "leased_mb": pool.leased_mb, "leases": pool.leases})
    });
    let limits = provider.limits.unwrap_or_default();
    let mut told = json!({
        "name": provider.name,
        "account": provider.account,
        "kind": if provider.kind() == v1::ProviderKind::Own { "own" } else { "market" },
        "online": provider.online,
        "offers": provider.offers,
        "labels": provider.labels,
        "pools": pools.collect::<Vec<_>>(),
        "killed": provider.killed,
    });
    // What the operator allows it, and what is left of what it sells under, is its own affair.
    if seen_by.may_see(&provider.account) {
        let own = json!({
            "exposure": wide_decimal(&provider.exposure),
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

/// Energy in GB-s, as everywhere where people read.
fn quota_json(used: &v1::QuotaUse) -> Value {
    let quota = used.quota.clone().unwrap_or_default();
    json!({
        "name": quota.name,
        "renews": period(quota.renews()),
        "requests": quota.requests,
        "used_requests": used.used_requests,
        "gb_seconds": quota.energy_mb_ms.map(energy),
        "used_gb_seconds": energy(used.used_energy_mb_ms),
    })
}

fn health_json(health: &v1::Health) -> Value {
    let revision = (!health.function.is_empty()).then_some(health.revision);
    json!({
        "function": revision.map(|_| &health.function),
        "revision": revision,
        "failures": health.failures,
        "until": time(health.until),
        "trial": health.trial.map(|lease| lease_id(Some(lease))),
        "reason": health.reason,
    })
}

#[derive(Deserialize)]
struct Register {
    name: Name,
    account: Name,
    kind: Kind,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Own,
    Market,
}

pub(crate) async fn register(State(broker): State<Arc<Broker>>, _: Operator, Sent(body): Sent) -> Answer {
    let Register { name, account, kind, labels } = read(&body, &["name", "account", "kind", "labels"])?;
    let kind = match kind {
        Kind::Own => v1::ProviderKind::Own,
        Kind::Market => v1::ProviderKind::Market,
    };
    let (name, account) = (name.to_string(), account.to_string());
    let request = v1::RegisterProviderRequest { name, account, kind: kind.into(), labels };
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.register_provider(request)).await
}

#[derive(Deserialize)]
struct Kill {
    reason: String,
}

pub(crate) async fn kill(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let provider = path_name(&name)?;
    let Kill { reason } = read(&body, &["reason"])?;
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.kill_provider(v1::KillProviderRequest { provider, reason })).await
}

pub(crate) async fn revive(State(broker): State<Arc<Broker>>, _: Operator, Path(name): Path<String>) -> Answer {
    let provider = path_name(&name)?;
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.revive_provider(v1::ReviveProviderRequest { provider })).await
}

#[derive(Deserialize)]
struct Limits {
    offers: Option<u32>,
    quotes_per_second: Option<u32>,
    exposure: Option<Money>,
}

/// Replaces the limits; what is left out sets none.
pub(crate) async fn limits(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let provider = path_name(&name)?;
    let Limits { offers, quotes_per_second, exposure } = read(&body, &["offers", "quotes_per_second", "exposure"])?;
    let limits = v1::ProviderLimits { offers, quotes_per_second, exposure: exposure.map(Money::picodollars) };
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.set_provider_limits(v1::SetProviderLimitsRequest { provider, limits: Some(limits) })).await
}

#[derive(Deserialize)]
struct Labels {
    labels: BTreeMap<String, String>,
}

/// Replaces the labels that the operator grants.
pub(crate) async fn labels(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(name): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let provider = path_name(&name)?;
    let Labels { labels } = read(&body, &["labels"])?;
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.grant_labels(v1::GrantLabelsRequest { provider, labels })).await
}
