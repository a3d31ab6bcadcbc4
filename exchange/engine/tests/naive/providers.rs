//! Providers: registration, the operator's limits, and protection.

use std::collections::BTreeMap;

use merit_engine::{Adapter, Event, ProviderKind, ProviderLimits, RegisterProvider, Reply, SessionEnding};
use merit_terms::{AccountId, Name, PoolSize, Protection, ProviderId, Refusal, TargetPattern, Time, is_at_endpoint};

use super::quotas::QuotaState;
use super::{Twin, check_texts, invalid, unknown};

#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) name: Name,
    pub(crate) account: AccountId,
    pub(crate) kind: ProviderKind,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) session: u32,
    pub(crate) online: bool,
    pub(crate) endpoint: String,
    pub(crate) adapter: Adapter,
    pub(crate) endpoint_trusted: bool,
    pub(crate) targets: Vec<TargetPattern>,
    pub(crate) pools: Vec<PoolSize>,
    pub(crate) killed: Option<String>,
    pub(crate) limits: ProviderLimits,
    pub(crate) quotas: Vec<QuotaState>,
    pub(super) protection: Option<Protection>,
    /// Times of its latest leases, while it asks for protection.
    pub(super) leased_at: Vec<Time>,
    pub(super) last_quote: u64,
    /// Times of its latest quotes.
    pub(super) quoted_at: Vec<Time>,
    pub(super) general_ratio: i32,
    /// Accounts that were granted leases on it, with the latest time.
    pub(super) served: Vec<(AccountId, Time)>,
    /// True if two accounts had leases within the hour, as of the last lease that began or ended.
    pub(super) shared: bool,
}

impl Provider {
    pub(super) fn quota(&self, name: &Name) -> Option<&QuotaState> {
        self.quotas.iter().find(|state| state.quota.name == *name)
    }

    /// Returns whether its owner lets functions name this target.
    pub(super) fn allows_target(&self, target: &str) -> bool {
        is_at_endpoint(&self.endpoint, target) || self.targets.iter().any(|pattern| pattern.matches(target))
    }

    pub(super) fn quota_mut(&mut self, name: &Name) -> Option<&mut QuotaState> {
        self.quotas.iter_mut().find(|state| state.quota.name == *name)
    }
}

pub(super) fn check_targets(targets: &[TargetPattern]) -> Result<(), Refusal> {
    if targets.len() > 32 { Err(invalid("targets")) } else { Ok(()) }
}

impl Twin {
    pub(super) fn register_provider(&mut self, register: &RegisterProvider) -> Result<Reply, Refusal> {
        self.account(register.account)?;
        check_texts("labels", &register.labels)?;
        if self.providers.iter().any(|provider| provider.name == register.name) {
            return Err(Refusal::Exists { what: "provider", name: register.name.to_string() });
        }
        let id = ProviderId::new(self.providers.len() as u32);
        self.providers.push(Provider {
            name: register.name.clone(),
            account: register.account,
            kind: register.kind,
            labels: register.labels.clone(),
            session: 0,
            online: false,
            endpoint: String::new(),
            adapter: Adapter::Agent,
            endpoint_trusted: false,
            targets: Vec::new(),
            pools: Vec::new(),
            killed: None,
            limits: ProviderLimits::default(),
            quotas: Vec::new(),
            protection: None,
            leased_at: Vec::new(),
            last_quote: 0,
            quoted_at: Vec::new(),
            general_ratio: 0,
            served: Vec::new(),
            shared: false,
        });
        Ok(Reply::Provider(id))
    }

    pub(super) fn provider_mut(&mut self, id: ProviderId) -> Result<&mut Provider, Refusal> {
        self.providers.get_mut(id.index()).ok_or_else(|| unknown("provider", id.number()))
    }

    pub(super) fn kind(&self, id: ProviderId) -> ProviderKind {
        self.providers[id.index()].kind
    }

    pub(super) fn set_provider_limits(&mut self, id: ProviderId, limits: ProviderLimits) -> Result<(), Refusal> {
        self.provider_mut(id)?.limits = limits;
        self.wake_provider(id, "woken by limits of a provider");
        Ok(())
    }

    pub(super) fn set_targets(&mut self, id: ProviderId, targets: &[TargetPattern]) -> Result<(), Refusal> {
        let provider = self.provider_mut(id)?;
        check_targets(targets)?;
        provider.targets = targets.to_vec();
        self.wake_provider(id, "woken by targets");
        Ok(())
    }

    pub(super) fn grant_labels(&mut self, id: ProviderId, labels: &BTreeMap<String, String>) -> Result<(), Refusal> {
        self.provider_mut(id)?;
        check_texts("labels", labels)?;
        self.provider_mut(id)?.labels = labels.clone();
        self.wake_provider(id, "woken by labels");
        Ok(())
    }

    pub(super) fn kill(&mut self, id: ProviderId, reason: &str) -> Result<(), Refusal> {
        if reason.len() > 256 {
            return Err(invalid("reason"));
        }
        self.provider_mut(id)?.killed = Some(reason.to_owned());
        self.cancel_all(id);
        self.end_session(id, SessionEnding::Killed);
        Ok(())
    }

    /// Returns the sum of the worst cases of its open leases.
    pub(crate) fn exposure(&self, id: ProviderId) -> u128 {
        let leases = self.leases.iter().filter(|open| open.lease.provider == id);
        leases.map(|open| u128::from(open.lease.worst_cost.picodollars())).sum()
    }

    /// Returns whether the operator has stopped it, or frozen its account.
    pub(super) fn is_barred(&self, provider: &Provider) -> bool {
        provider.killed.is_some() || self.accounts[provider.account.index()].frozen
    }

    /// Counts a lease towards the protection that the provider asked for.
    pub(super) fn protect(&mut self, at: Time, id: ProviderId) {
        let provider = &mut self.providers[id.index()];
        let Some(Protection { leases, within_ms }) = provider.protection else { return };
        provider.leased_at.push(at);
        provider.leased_at.retain(|leased_at| at.micros_since(*leased_at) < u64::from(within_ms) * 1000);
        if provider.leased_at.len() >= leases as usize {
            provider.leased_at.clear();
            self.cancel_all(id);
            self.events.push(Event::Protected { provider: id });
        }
    }
}
