//! Views: the state as edges and tests may read it. Changes nothing.

use std::collections::BTreeMap;

use merit_terms::{
    AccountId, Balance, FunctionId, KeyId, LeaseId, MarketId, MarketName, Name, Period, PoolSize, ProviderId, Quota,
    Refusal, Time,
};

use crate::Engine;
use crate::event::{Lease, OfferChange, Resting};
use crate::market::functions::Function;
use crate::market::keys::Key;
use crate::market::markets::Market;
use crate::market::providers::Provider;
use crate::market::visibility::{Viewer, Visibility};
use crate::money::ledger::Account;
use crate::money::spending::Spending;
use crate::supply::health::BackOff;
use crate::supply::pools::Pool;
use crate::supply::quotas::Allowance;

/// A pool as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolView {
    pub size: PoolSize,
    pub leased_mb: u64,
    pub leases: u32,
}

/// A quota and its usage in the present period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaView {
    pub quota: Quota,
    pub used_requests: u64,
    pub used_energy_mb_ms: u64,
}

/// A back-off of one revision at a provider, or of the whole provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthView {
    pub revision: Option<(FunctionId, u32)>,
    pub failures: u32,
    pub until: Time,
    /// The lease of the trial call.
    pub trial: Option<LeaseId>,
}

/// The account or function of a spending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpendingOf {
    Account(AccountId),
    Function(FunctionId),
}

impl Engine {
    /// Returns the check value of the master key that the state is bound to; none before it is bound.
    pub fn master_key_check(&self) -> Option<u64> {
        (self.master_key_check != 0).then_some(self.master_key_check)
    }

    /// Returns the number of the active rules.
    pub fn rules(&self) -> u32 {
        self.rules
    }

    pub fn run(&self) -> u32 {
        self.run
    }

    /// Returns the sequence of the last command that changed something; 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn last_at(&self) -> Time {
        self.last_at
    }

    pub fn fee_basis_points(&self) -> u32 {
        self.fee_basis_points
    }

    /// Returns the time from which on a [`crate::Command::Tick`] does something: an expiry is due, or bids are
    /// examined.
    pub fn next_due(&self) -> Option<Time> {
        if self.bids.is_pending() { Some(self.last_at) } else { self.deadlines.next() }
    }

    /// Lists the resting bids, by id.
    pub fn resting(&self) -> impl Iterator<Item = &Resting> {
        self.bids.all()
    }

    /// Returns the amounts spent and held in the present day or month, in picodollars; 0 for an unknown account or
    /// function.
    pub fn spending(&self, of: SpendingOf, period: Period) -> (u128, u128) {
        let spending = match of {
            SpendingOf::Account(id) => self.ledger.known(id).map(Account::spending),
            SpendingOf::Function(id) => self.registry.known_function(id).map(Function::spending),
        };
        spending.map_or((0, 0), |spending: &Spending| spending.of(period, &self.calendar))
    }

    /// Lists a provider's quotas, in the order in which it stated them.
    pub fn quotas(&self, provider: ProviderId) -> Vec<QuotaView> {
        let sellers = self.shelf.sellers().get(provider.index());
        let view = |allowance: &Allowance| {
            let (used_requests, used_energy_mb_ms) = allowance.used(&self.calendar);
            QuotaView { quota: allowance.quota().clone(), used_requests, used_energy_mb_ms }
        };
        sellers.into_iter().flat_map(|seller| seller.quotas()).map(view).collect()
    }

    /// Lists the back-offs at a provider: that of the whole provider first, then by revision.
    pub fn health(&self, provider: ProviderId) -> Vec<HealthView> {
        let view = |(revision, back_off): (_, BackOff)| HealthView {
            revision,
            failures: back_off.failures,
            until: back_off.until.unwrap_or_default(),
            trial: back_off.trial,
        };
        self.shelf.back_offs(provider).map(view).collect()
    }

    /// Lists the brokers' sessions, and whether the stream of each is on.
    pub fn brokers(&self) -> Vec<(u64, bool)> {
        self.brokers.all().collect()
    }

    pub fn accounts(&self) -> impl ExactSizeIterator<Item = (AccountId, &Account)> {
        (0..).map(AccountId::new).zip(self.ledger.accounts()).collect::<Vec<_>>().into_iter()
    }

    pub fn account(&self, id: AccountId) -> Result<&Account, Refusal> {
        self.ledger.known(id)
    }

    pub fn find_account(&self, name: &str) -> Option<AccountId> {
        self.ledger.find(name)
    }

    /// Returns the sum of all balances: zero, always.
    pub fn balance_sum(&self) -> Balance {
        self.ledger.sum()
    }

    /// Lists the markets that are not deleted, by number.
    pub fn markets(&self) -> impl Iterator<Item = (MarketId, &Market)> {
        self.registry.live_markets()
    }

    /// Returns a market, deleted or not.
    pub fn market(&self, id: MarketId) -> Option<&Market> {
        self.registry.markets().get(id.index())
    }

    pub fn find_market(&self, name: &MarketName) -> Option<MarketId> {
        self.registry.find_market(name)
    }

    pub fn providers(&self) -> impl Iterator<Item = (ProviderId, &Provider)> {
        (0..).map(ProviderId::new).zip(self.registry.providers())
    }

    pub fn provider(&self, id: ProviderId) -> Option<&Provider> {
        self.registry.providers().get(id.index())
    }

    pub fn find_provider(&self, name: &Name) -> Option<ProviderId> {
        self.registry.find_provider(name)
    }

    /// Lists the functions that are not deleted.
    pub fn functions(&self) -> impl Iterator<Item = (FunctionId, &Function)> {
        (0..).map(FunctionId::new).zip(self.registry.functions()).filter(|(_, function)| !function.deleted)
    }

    /// Returns the function, deleted or not: records outlive deletion.
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.registry.functions().get(id.index())
    }

    pub fn find_function(&self, account: AccountId, name: &Name) -> Option<FunctionId> {
        self.registry.find_function(account, name)
    }

    /// Returns whether a provider may run a revision of a function that is not deleted, apart from conditions that
    /// change with time.
    pub fn may_run(&self, provider: ProviderId, function: FunctionId, revision: u32) -> bool {
        let found = self.registry.live_function(function).ok().and_then(|function| function.revision(revision));
        found.is_some_and(|revision| self.registry.class_of(revision).allowed().has(provider.index()))
    }

    /// Lists the revisions with this module, of functions that are not deleted.
    pub fn revisions_of_module(&self, digest: &[u8; 32]) -> impl Iterator<Item = (FunctionId, u32)> {
        let revisions = self.registry.revisions_of_module(digest).iter().copied();
        revisions.filter(|(function, _)| self.registry.live_function(*function).is_ok())
    }

    /// Lists a provider's pools, in the order of its logon.
    pub fn pools(&self, provider: ProviderId) -> Vec<PoolView> {
        let view = |pool: &Pool| PoolView { size: pool.size(), leased_mb: pool.leased_mb(), leases: pool.leases() };
        self.shelf.pools_of(provider).map(view).collect()
    }

    /// Returns whether the viewer may see a provider.
    pub fn sees_provider(&self, viewer: Viewer, id: ProviderId) -> bool {
        let Some(provider) = self.provider(id) else { return false };
        let sees = |named: &[AccountId]| Visibility::of_provider(provider.kind, provider.account, named).admits(viewer);
        sees(&[]) || self.shelf.offers_of(id).any(|offer| sees(offer.audience()))
    }

    /// Lists the live offers of all markets that the viewer may see: the provider of each, and the labels that it
    /// claims.
    pub fn offers_with_labels(
        &self,
        viewer: Viewer,
    ) -> impl Iterator<Item = (ProviderId, Option<&BTreeMap<String, String>>)> {
        let offers = self.shelf.live_offers().map(|(_, offer)| offer);
        let seen = offers.filter(move |offer| self.visibility_of(offer).admits(viewer));
        seen.map(|offer| (offer.provider, offer.labels()))
    }

    /// Lists a market's live offers, cheapest first, then oldest.
    pub fn book(&self, market: MarketId) -> Vec<OfferChange> {
        let mut book: Vec<_> = self.shelf.live_offers_in(market).map(|offer| self.shelf.change(offer)).collect();
        book.sort_unstable_by_key(|offer| (offer.price, offer.offer));
        book
    }

    /// Lists the leases that are neither settled, released nor expired, by sequence.
    pub fn open_leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.all().map(|open| &open.lease)
    }

    /// Returns a known key; revoked and expired ones are known for a while.
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.get(id)
    }

    /// Lists all known keys, in order of creation.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.all()
    }

    /// Lists the known keys of an account, in order of creation.
    pub fn keys_of(&self, account: AccountId) -> impl Iterator<Item = &Key> {
        self.keys.of_account(account)
    }
}
