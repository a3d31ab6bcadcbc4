//! Accounts and providers as they stand, as messages of the registry.

use std::collections::BTreeMap;

use merit_engine::{Account, Engine, HealthView, Provider, SpendingOf, Viewer};
use merit_proto::v1;
use merit_terms::{AccountId, Budget, ProviderId};

use crate::messages::{account_limits_to_proto, kind_to_proto, provider_limits_to_proto};

pub(super) fn account_to_proto(engine: &Engine, id: AccountId, account: &Account) -> v1::Account {
    v1::Account {
        id: account.name.clone(),
        balance: account.balance.picodollars().to_string(),
        held: account.held.to_string(),
        limits: Some(account_limits_to_proto(&account.limits)),
        frozen: account.frozen,
        budgets: budgets_to_proto(engine, SpendingOf::Account(id), &account.limits.budgets),
    }
}

pub(super) fn budgets_to_proto(engine: &Engine, of: SpendingOf, budgets: &[Budget]) -> Vec<v1::BudgetSpending> {
    let stand = |budget: &Budget| {
        let (spent, held) = engine.spending(of, budget.period);
        v1::BudgetSpending { budget: Some(budget.into()), spent: spent.to_string(), held: held.to_string() }
    };
    budgets.iter().map(stand).collect()
}

/// Makes the messages of all providers that a viewer may see.
pub(super) fn providers_to_proto(engine: &Engine, viewer: Viewer) -> Vec<v1::Provider> {
    let mut supply = vec![LiveOffers::default(); engine.providers().count()];
    for (provider, labels) in engine.offers_with_labels(viewer) {
        let supply = &mut supply[provider.index()];
        supply.offers += 1;
        supply.claimed_labels.extend(labels.into_iter().flatten());
    }
    let to_proto =
        |(id, provider): (ProviderId, &Provider)| provider_to_proto(engine, id, provider, &supply[id.index()], viewer);
    visible(engine, viewer).map(to_proto).collect()
}

/// Lists the providers that a viewer may see by their names alone.
pub(super) fn provider_names_to_proto(engine: &Engine, viewer: Viewer) -> Vec<v1::Provider> {
    let named = |(_, provider): (ProviderId, &Provider)| v1::Provider {
        name: provider.name.to_string(),
        ..v1::Provider::default()
    };
    visible(engine, viewer).map(named).collect()
}

fn visible(engine: &Engine, viewer: Viewer) -> impl Iterator<Item = (ProviderId, &Provider)> {
    engine.providers().filter(move |(id, _)| engine.sees_provider(viewer, *id))
}

/// The live offers of a provider that a viewer may see.
#[derive(Clone, Default)]
struct LiveOffers<'a> {
    offers: u32,
    claimed_labels: BTreeMap<&'a String, &'a String>,
}

fn provider_to_proto(
    engine: &Engine,
    id: ProviderId,
    provider: &Provider,
    supply: &LiveOffers<'_>,
    viewer: Viewer,
) -> v1::Provider {
    let pools = engine.pools(id);
    let health = engine.health(id);
    let told = v1::Provider {
        name: provider.name.to_string(),
        account: engine.account(provider.account).map_or_else(|_| String::new(), |account| account.name.clone()),
        kind: kind_to_proto(provider.kind).into(),
        online: provider.online,
        labels: provider.labels.clone(),
        pools: pools
            .iter()
            .map(|pool| v1::Pool { size: Some((&pool.size).into()), leased_mb: pool.leased_mb, leases: pool.leases })
            .collect(),
        offers: supply.offers,
        claimed_labels: supply.claimed_labels.iter().map(|(name, value)| ((*name).clone(), (*value).clone())).collect(),
        killed: provider.killed.clone(),
        health: health.iter().filter_map(|one| health_to_proto(engine, one, viewer)).collect(),
        ..v1::Provider::default()
    };
    match viewer {
        Viewer::Operator => with_affairs(engine, id, provider, told),
        Viewer::Account(account) if account == provider.account => with_affairs(engine, id, provider, told),
        Viewer::Anybody | Viewer::Account(_) => told,
    }
}

/// Adds what is for the provider's own account and for operators.
fn with_affairs(engine: &Engine, id: ProviderId, provider: &Provider, told: v1::Provider) -> v1::Provider {
    let quotas = engine.quotas(id);
    let used = quotas.iter().map(|used| v1::QuotaUse {
        quota: Some((&used.quota).into()),
        used_requests: used.used_requests,
        used_energy_mb_ms: used.used_energy_mb_ms,
    });
    v1::Provider {
        targets: provider.targets.iter().map(ToString::to_string).collect(),
        exposure: provider.exposure.to_string(),
        limits: Some(provider_limits_to_proto(&provider.limits)),
        protection: provider.protection.map(Into::into),
        quotas: used.collect(),
        ..told
    }
}

/// Makes the message of a back-off; none for one of a function that is not the viewer's to see.
fn health_to_proto(engine: &Engine, health: &HealthView, viewer: Viewer) -> Option<v1::Health> {
    let failures = health.failures;
    let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
    let (function, revision, reason) = match health.revision {
        None => (String::new(), 0, format!("several functions failed there, {times}; others go before it")),
        Some((function, revision)) => {
            let is_seen = |account| viewer == Viewer::Operator || viewer == Viewer::Account(account);
            let function = engine.function(function).filter(|function| is_seen(function.account))?;
            let name = function.name.to_string();
            let reason = format!("revision {revision} of {name} failed there {times}; others go before it");
            (name, revision, reason)
        }
    };
    let (until, trial) = (health.until.micros(), health.trial.map(Into::into));
    Some(v1::Health { function, revision, failures, until, trial, reason })
}
