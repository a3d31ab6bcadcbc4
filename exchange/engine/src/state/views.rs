//! Reading the state: what edges and tests may look at. Changes nothing.

use merit_terms::{
    AccountId, Balance, FunctionId, LeaseId, MarketId, MarketName, Name, Period, PoolSize, ProviderId, Quota, Refusal,
    Time,
};

use crate::event::{Lease, OfferChange, Resting};
use crate::market::{Function, Market, Provider};
use crate::{Account, Engine};

/// A pool as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolView {
    pub size: PoolSize,
    pub leased_mb: u64,
    pub leases: u32,
}

/// A quota and what is used of it in its present period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaView {
    pub quota: Quota,
    pub used_requests: u64,
    pub used_energy_mb_ms: u64,
}

/// A back-off: of one revision at a provider, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthView {
    pub revision: Option<(FunctionId, u32)>,
    pub failures: u32,
    pub until: Time,
    /// The lease that tries whether it is back.
    pub trial: Option<LeaseId>,
}

/// Whose spending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendingOf {
    Account(AccountId),
    Function(FunctionId),
}

impl Engine {
    /// The rules that hold.
    pub fn rules(&self) -> u32 {
        self.rules
    }

    pub fn run(&self) -> u32 {
        self.run
    }

    /// The sequence of the last command that changed something; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn last_at(&self) -> Time {
        self.last_at
    }

    pub fn fee_basis_points(&self) -> u32 {
        self.fee_basis_points
    }

    /// When the next expiry is due, or resting bids are to be examined: then a [`crate::Command::Tick`] does something.
    pub fn next_due(&self) -> Option<Time> {
        if self.bids.is_pending() { Some(self.last_at) } else { self.dues.first().map(|(due, _)| *due) }
    }

    /// Deferred bids that rest, by id.
    pub fn resting(&self) -> impl Iterator<Item = &Resting> {
        self.bids.resting.values()
    }

    /// What is spent and held in the present day or month, in picodollars; nothing for who is not there.
    pub fn spending(&self, of: SpendingOf, period: Period) -> (u128, u128) {
        let spending = match of {
            SpendingOf::Account(id) => self.ledger.accounts.get(id.index()).map(|account| &account.spending),
            SpendingOf::Function(id) => self.registry.functions.get(id.index()).map(|function| &function.spending),
        };
        spending.map_or((0, 0), |spending| spending.of(period, &self.calendar))
    }

    /// A provider's quotas, in the order in which it stated them.
    pub fn quotas(&self, provider: ProviderId) -> Vec<QuotaView> {
        let allowances = self.provider(provider).map_or(&[][..], |provider| &provider.quotas);
        let view = |allowance: &crate::supply::quotas::Allowance| {
            let (used_requests, used_energy_mb_ms) = allowance.used(&self.calendar);
            QuotaView { quota: allowance.quota.clone(), used_requests, used_energy_mb_ms }
        };
        allowances.iter().map(view).collect()
    }

    /// What backs off at a provider: it for all first, then by revision.
    pub fn health(&self, provider: ProviderId) -> Vec<HealthView> {
        let view = |(revision, back_off): (_, crate::supply::health::BackOff)| HealthView {
            revision,
            failures: back_off.failures,
            until: back_off.until,
            trial: back_off.trial,
        };
        self.back_offs(provider).into_iter().map(view).collect()
    }

    /// Brokers' sessions, and whether each stream is on.
    pub fn brokers(&self) -> Vec<(u64, bool)> {
        self.brokers.0.iter().map(|(session, online)| (*session, *online)).collect()
    }

    pub fn accounts(&self) -> impl ExactSizeIterator<Item = (AccountId, &Account)> {
        (0..).map(AccountId::new).zip(&self.ledger.accounts).collect::<Vec<_>>().into_iter()
    }

    pub fn account(&self, id: AccountId) -> Result<&Account, Refusal> {
        self.ledger.get(id)
    }

    pub fn find_account(&self, name: &str) -> Option<AccountId> {
        self.ledger.find(name)
    }

    /// The sum of all balances: zero, always.
    pub fn balance_sum(&self) -> Balance {
        self.ledger.sum()
    }

    pub fn markets(&self) -> impl Iterator<Item = (MarketId, &Market)> {
        (0..).map(MarketId::new).zip(&self.registry.markets)
    }

    pub fn market(&self, id: MarketId) -> Option<&Market> {
        self.registry.markets.get(id.index())
    }

    pub fn find_market(&self, name: &MarketName) -> Option<MarketId> {
        self.registry.find_market(name)
    }

    pub fn providers(&self) -> impl Iterator<Item = (ProviderId, &Provider)> {
        (0..).map(ProviderId::new).zip(&self.registry.providers)
    }

    pub fn provider(&self, id: ProviderId) -> Option<&Provider> {
        self.registry.providers.get(id.index())
    }

    pub fn find_provider(&self, name: &Name) -> Option<ProviderId> {
        self.registry.find_provider(name)
    }

    pub fn functions(&self) -> impl Iterator<Item = (FunctionId, &Function)> {
        (0..).map(FunctionId::new).zip(&self.registry.functions).filter(|(_, function)| !function.deleted)
    }

    /// The function, deleted or not: records outlive deletion.
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.registry.functions.get(id.index())
    }

    pub fn find_function(&self, account: AccountId, name: &Name) -> Option<FunctionId> {
        self.registry.find_function(account, name)
    }

    /// Whether a provider may run a revision of a function that is not deleted, as far as that does not change with time.
    pub fn may_run(&self, provider: ProviderId, function: FunctionId, revision: u32) -> bool {
        let found = self.registry.function(function).ok().and_then(|function| function.revision(revision));
        found.is_some_and(|revision| self.registry.classes.all[revision.class as usize].allowed.has(provider.index()))
    }

    /// The revisions of functions that are not deleted which have this module.
    pub fn revisions_of_module(&self, digest: &[u8; 32]) -> impl Iterator<Item = (FunctionId, u32)> {
        let revisions = self.registry.by_module.get(digest).map_or(&[][..], Vec::as_slice);
        revisions.iter().copied().filter(|(function, _)| self.registry.function(*function).is_ok())
    }

    /// A provider's pools, in the order of its logon.
    pub fn pools(&self, provider: ProviderId) -> Vec<PoolView> {
        let slots = self.shelf.sellers.get(provider.index()).map_or(&[][..], |seller| &seller.pools);
        let view = |slot: &u32| {
            let pool = &self.shelf.pools[*slot as usize];
            PoolView { size: pool.size, leased_mb: pool.leased_mb, leases: pool.leases }
        };
        slots.iter().map(view).collect()
    }

    /// A market's live offers, cheapest first, then oldest.
    pub fn book(&self, market: MarketId) -> Vec<OfferChange> {
        let steps = self.shelf.sellers.iter().flat_map(|seller| seller.ladders.of(market));
        let offers = steps.filter_map(|step| self.shelf.offer(step.slot));
        let mut book: Vec<_> = offers.map(|offer| self.shelf.change(offer)).collect();
        book.sort_unstable_by_key(|offer| (offer.price, offer.offer));
        book
    }

    /// Leases that are neither settled, released nor expired, by sequence.
    pub fn open_leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.open.values().map(|open| &open.lease)
    }
}
