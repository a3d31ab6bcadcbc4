//! A resolved bid: the facts of a bid that hold for every offer.

use merit_terms::{Money, Name, NoOffer, Period, Price, ProviderId, Refusal, Time};

use crate::Engine;
use crate::collections::bits::Bits;
use crate::command::{Bid, ProviderKind};
use crate::market::classes::Class;
use crate::market::functions::Function;
use crate::market::revisions::Revision;
use crate::market::{invalid, unknown_function};
use crate::money::ledger::Account;
use crate::prediction::reference::Reference;
use crate::supply::health::Behind;

/// A bid with its names resolved, before any offer is looked at.
pub(crate) struct ResolvedBid<'a> {
    pub(super) bid: &'a Bid,
    pub(super) at: Time,
    pub(crate) function: &'a Function,
    /// Number of the revision.
    pub(crate) number: u32,
    pub(crate) revision: &'a Revision,
    pub(super) class: &'a Class,
    pub(super) reference: Option<Reference>,
    /// Providers of the bid's own limits.
    only: Vec<ProviderId>,
    ignore: Vec<ProviderId>,
    pub(super) labels: Vec<Option<&'a Bits>>,
    /// Max cost by kind of provider.
    max_cost: [Option<Money>; 2],
    pub(super) max_price: Option<Price>,
    pub(super) max_latency_ms: Option<u32>,
    /// Available funds of the account, in picodollars.
    pub(super) available: i128,
    /// Least hold, even if the worst case is less.
    pub(super) hold: Money,
    /// The rest of each budget, and its period.
    pub(super) budgets: Vec<(Period, i128)>,
    shared: Vec<SharedHold>,
    /// Permission for providers that are behind.
    pub(super) behind: Behind,
}

/// The hold of an earlier attempt of the invocation, which a further one takes over.
struct SharedHold {
    kind: ProviderKind,
    hold: Money,
    matched_at: Time,
}

fn index(kind: ProviderKind) -> usize {
    match kind {
        ProviderKind::Own => 0,
        ProviderKind::Market => 1,
    }
}

impl ResolvedBid<'_> {
    /// Returns whether the function and the bid let `provider` run it in a market, apart from conditions that change
    /// with time.
    pub(super) fn permits(&self, provider: ProviderId, by_module: bool) -> bool {
        let by_class = if by_module { self.class.allowed() } else { self.class.deployed() };
        by_class.has(provider.index())
            && self.labels.iter().all(|bits| bits.is_some_and(|bits| bits.has(provider.index())))
            && (self.bid.limits.only.is_empty() || self.only.contains(&provider))
            && !self.ignore.contains(&provider)
            && !self.bid.tried.contains(&provider)
    }

    /// Returns whether a module is enough in markets of modules.
    pub(super) fn has_module(&self) -> bool {
        self.revision.code.module.is_some()
    }

    /// Returns the only providers that the bid names. None: all.
    pub(super) fn only(&self) -> Option<&[ProviderId]> {
        (!self.bid.limits.only.is_empty()).then_some(&self.only)
    }

    /// Returns whether the max cost may cut the timeout anywhere.
    pub(super) fn has_max_cost(&self) -> bool {
        self.max_cost.iter().any(Option::is_some)
    }

    /// Returns the least max cost of any kind of provider.
    pub(crate) fn max_cost(&self) -> Option<Money> {
        self.max_cost.into_iter().flatten().min()
    }

    /// Returns the max cost at providers of one kind.
    pub(super) fn max_cost_at(&self, kind: ProviderKind) -> Option<Money> {
        self.max_cost[index(kind)]
    }

    /// Returns the holds of the siblings at providers of one kind.
    pub(super) fn shared(&self, kind: ProviderKind) -> Money {
        self.sum(|shared| shared.kind == kind)
    }

    /// Returns those of the siblings' holds that count in the present period of a budget.
    pub(super) fn shared_in(&self, kind: ProviderKind, period: Period) -> Money {
        let present = self.at.period(period);
        self.sum(|shared| shared.kind == kind && shared.matched_at.period(period) == present)
    }

    fn sum(&self, counts: impl Fn(&SharedHold) -> bool) -> Money {
        let held = self.shared.iter().filter(|shared| counts(shared)).map(|shared| shared.hold.picodollars());
        Money::from_picodollars(held.fold(0, u64::saturating_add)).unwrap_or(Money::MAX)
    }
}

impl Engine {
    /// Refuses a bid whose limits are out of bounds, or whose account the operator has frozen.
    pub(crate) fn check_bidder(&self, bid: &Bid) -> Result<(), Refusal> {
        check_limits(bid)?;
        self.ledger.unfrozen(bid.account).map(drop)
    }

    /// Resolves a bid. Refuses one with unknown names or limits out of bounds.
    pub(crate) fn resolve<'a>(&'a self, bid: &'a Bid, at: Time) -> Result<ResolvedBid<'a>, Refusal> {
        check_limits(bid)?;
        let buyer = self.ledger.known(bid.account)?;
        let function = self.registry.live_function(bid.function)?;
        if function.account != bid.account {
            return Err(unknown_function(bid.function)); // its name is not theirs to learn
        }
        // The number of its first attempt: that of the next command, unless it has been made.
        let call = bid.invocation.map_or(self.sequence + 1, |first| first.sequence);
        let number = function.revision_of(&bid.qualifier, call)?;
        let revision = function
            .revision(number)
            .ok_or_else(|| Refusal::Unknown { what: "revision", name: format!("{}:{number}", function.name) })?;
        let (limits, own) = (&bid.limits, &function.settings.limits);
        let ids = |names: &[Name]| names.iter().filter_map(|name| self.registry.find_provider(name)).collect();
        let mut resolved = ResolvedBid {
            bid,
            at,
            function,
            number,
            revision,
            class: self.registry.class_of(revision),
            reference: revision.learned().reference(),
            only: ids(&limits.only),
            ignore: ids(&limits.ignore),
            labels: limits.labels.iter().map(|label| self.registry.with_label(label)).collect(),
            max_cost: [limits.max_cost.into_iter().chain(own.max_cost).min(); 2],
            max_price: limits.max_price.into_iter().chain(own.max_price).min(),
            max_latency_ms: limits.max_latency_ms.into_iter().chain(own.max_latency_ms).min(),
            available: buyer.available(),
            hold: Money::ZERO,
            budgets: self.budgets_left(function, buyer).collect(),
            shared: self.held_by_siblings(bid),
            behind: Behind::Refused,
        };
        let beside = self.held_beside(bid);
        for (kind, other) in [(ProviderKind::Own, ProviderKind::Market), (ProviderKind::Market, ProviderKind::Own)] {
            let taken = resolved.shared(other);
            let max_cost = &mut resolved.max_cost[index(kind)];
            *max_cost = max_cost.map(|most| most.saturating_sub(taken).saturating_sub(beside));
        }
        Ok(resolved)
    }

    /// Resolves a bid that runs at once. Refuses one beyond the maximum concurrency of its function or account.
    pub(super) fn resolve_now<'a>(&'a self, bid: &'a Bid, at: Time) -> Result<ResolvedBid<'a>, Refusal> {
        let resolved = self.resolve(bid, at)?;
        let account = self.ledger.account(bid.account);
        let concurrency = [
            (resolved.function.running, resolved.function.settings.max_concurrency),
            (account.running, account.limits.max_concurrency),
        ];
        for (running, max_concurrency) in concurrency {
            if let Some(max_concurrency) = max_concurrency.filter(|most| running >= *most) {
                return Err(Refusal::MaxConcurrency { running, max_concurrency });
            }
        }
        Ok(resolved)
    }

    /// Lists the rest of each budget of a function and its account, in picodollars; below 0 if a budget was lowered.
    pub(crate) fn budgets_left<'a>(
        &'a self,
        function: &'a Function,
        buyer: &'a Account,
    ) -> impl Iterator<Item = (Period, i128)> + 'a {
        function.budgets_left(&self.calendar).chain(buyer.budgets_left(&self.calendar))
    }

    fn held_by_siblings(&self, bid: &Bid) -> Vec<SharedHold> {
        let shared = self.unknown_attempts(bid).map(|lease| SharedHold {
            kind: self.kind_of(lease.provider),
            hold: lease.hold,
            matched_at: lease.matched_at,
        });
        shared.collect()
    }

    pub(crate) fn kind_of(&self, provider: ProviderId) -> ProviderKind {
        self.registry.provider(provider).kind
    }

    /// Returns the refusal of a bid by its nearest obstacle. `retry_after_ms` is the time until the first provider that
    /// is behind is expected back.
    pub(crate) fn no_offer(&self, class: NoOffer, retry_after_ms: Option<u64>) -> Refusal {
        let indices = self.shelf.indices();
        let offers = indices.iter().map(|index| index.live()).sum();
        let markets = indices.iter().filter(|index| index.live() > 0).count() as u32;
        Refusal::NoOffer { class, offers, markets, retry_after_ms }
    }
}

fn check_limits(bid: &Bid) -> Result<(), Refusal> {
    bid.limits.check().map_err(|error| invalid("limits", error.to_string()))
}
