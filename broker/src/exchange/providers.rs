//! Providers in the registry: pools, quotas, limits and health.

use std::collections::BTreeMap;

use merit_proto::v1;
use merit_terms::{Balance, LeaseId, Period, Protection, Time};

use super::accounts::{balance, period};
use super::clients::{Exchange, answer};
use crate::error::ApiError;

/// A provider as it stands.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) account: String,
    pub(crate) kind: ProviderKind,
    pub(crate) online: bool,
    pub(crate) offers: u32,
    pub(crate) labels: BTreeMap<String, String>,
    /// Labels that its live offers claim; nothing vouches for them.
    pub(crate) claimed_labels: BTreeMap<String, String>,
    pub(crate) pools: Vec<Pool>,
    /// The reason for which the operator stopped it.
    pub(crate) killed: Option<String>,
    /// Patterns of targets beside those at its endpoint.
    pub(crate) targets: Vec<String>,
    pub(crate) exposure: Balance,
    pub(crate) limits: ProviderLimits,
    pub(crate) protection: Option<Protection>,
    pub(crate) quotas: Vec<QuotaUse>,
    pub(crate) health: Vec<Health>,
}

/// The reader of a list of providers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ProviderReader<'a> {
    /// Sees the public ones, its own, and those that name it; an empty account the public ones.
    Account(&'a str),
    /// Sees all.
    Operator,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderKind {
    Own,
    Market,
}

/// The limits that the operator set; none sets no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ProviderLimits {
    pub(crate) offers: Option<u32>,
    pub(crate) quotes_per_second: Option<u32>,
    /// Picodollars.
    pub(crate) exposure: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) memory_mb: u64,
    pub(crate) slots: u32,
    pub(crate) leased_mb: u64,
    pub(crate) leases: u32,
}

/// A quota in its present period.
#[derive(Debug)]
pub(crate) struct QuotaUse {
    pub(crate) name: String,
    /// None: it never renews.
    pub(crate) renews: Option<Period>,
    pub(crate) requests: Option<u64>,
    pub(crate) used_requests: u64,
    pub(crate) energy_mb_ms: Option<u64>,
    pub(crate) used_energy_mb_ms: u64,
}

/// A back-off of a provider, for one revision or for all.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) revision: Option<(String, u32)>,
    pub(crate) failures: u32,
    pub(crate) until: Time,
    pub(crate) trial: Option<LeaseId>,
    pub(crate) reason: String,
}

impl Exchange {
    /// Returns the providers that a reader may see.
    pub(crate) async fn providers(&self, reader: ProviderReader<'_>) -> Result<Vec<Provider>, ApiError> {
        let (account, all) = match reader {
            ProviderReader::Account(account) => (account.to_owned(), false),
            ProviderReader::Operator => (String::new(), true),
        };
        let request = v1::ListProvidersRequest { account, names_only: false, all };
        let listed = answer(self.registry.clone().list_providers(request)).await?;
        Ok(listed.providers.into_iter().map(Into::into).collect())
    }
}

impl Exchange {
    /// Replaces the targets that a provider of the account allows; an empty account is an operator's. Returns the
    /// sequence of the change, 0 if it changed nothing.
    pub(crate) async fn set_targets(
        &self,
        account: String,
        provider: String,
        patterns: Vec<String>,
    ) -> Result<u64, ApiError> {
        let targets = Some(v1::Targets { patterns });
        let request = v1::SetTargetsRequest { account, provider, targets };
        Ok(answer(self.registry.clone().set_targets(request)).await?.sequence)
    }
}

impl From<v1::Provider> for Provider {
    fn from(provider: v1::Provider) -> Provider {
        let kind = match provider.kind() {
            v1::ProviderKind::Own => ProviderKind::Own,
            v1::ProviderKind::Market | v1::ProviderKind::Unspecified => ProviderKind::Market,
        };
        let limits = provider.limits.unwrap_or_default();
        Provider {
            name: provider.name,
            account: provider.account,
            kind,
            online: provider.online,
            offers: provider.offers,
            labels: provider.labels,
            claimed_labels: provider.claimed_labels,
            pools: provider.pools.iter().map(pool).collect(),
            killed: provider.killed,
            targets: provider.targets,
            exposure: balance(&provider.exposure),
            limits: ProviderLimits {
                offers: limits.offers,
                quotes_per_second: limits.quotes_per_second,
                exposure: limits.exposure,
            },
            protection: provider.protection.map(Into::into),
            quotas: provider.quotas.into_iter().map(quota_use).collect(),
            health: provider.health.into_iter().map(health).collect(),
        }
    }
}

fn pool(pool: &v1::Pool) -> Pool {
    let size = pool.size.unwrap_or_default();
    Pool { memory_mb: size.memory_mb, slots: size.slots, leased_mb: pool.leased_mb, leases: pool.leases }
}

fn quota_use(used: v1::QuotaUse) -> QuotaUse {
    let quota = used.quota.unwrap_or_default();
    QuotaUse {
        renews: period(quota.renews()),
        name: quota.name,
        requests: quota.requests,
        used_requests: used.used_requests,
        energy_mb_ms: quota.energy_mb_ms,
        used_energy_mb_ms: used.used_energy_mb_ms,
    }
}

fn health(health: v1::Health) -> Health {
    Health {
        revision: (!health.function.is_empty()).then_some((health.function, health.revision)),
        failures: health.failures,
        until: Time::from_micros(health.until),
        trial: health.trial.map(Into::into),
        reason: health.reason,
    }
}
