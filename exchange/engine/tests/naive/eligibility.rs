//! Eligibility: every filter on every offer, and all the reasons against it.

use merit_engine::{Adapter, Audience, Bid, MarketState, ProviderKind, Source};
use merit_terms::{
    Limits, MarketId, MarketPattern, Money, OfferId, Period, Price, ProviderId, Reason, Tariff, Time, Usage,
};

use super::accounts::{money, picodollars};
use super::holds::Covers;
use super::spending::exceeded;
use super::{Function, Offer, Provider, Twin, quotas};

/// Facts about a bid before any offer is looked at.
pub(super) struct Asked<'a> {
    pub(super) at: Time,
    pub(super) bid: &'a Bid,
    pub(super) function: &'a Function,
    pub(super) revision: u32,
    pub(super) covers: Covers,
    pub(super) available: i128,
    pub(super) budgets_left: Vec<(Period, i128)>,
}

/// The longest timeout that the max cost buys on an offer, and its worst case.
struct Affordable {
    timeout_ms: u32,
    worst_cost: Money,
    refused: Option<Reason>,
}

/// An eligible offer with its prediction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) offer: OfferId,
    pub(crate) provider: ProviderId,
    pub(crate) market: MarketId,
    pub(crate) price: Price,
    pub(crate) tariff: Tariff,
    pub(crate) wall_us: u64,
    pub(crate) cold_us: u64,
    pub(crate) billed_ms: u64,
    pub(crate) cost: Money,
    pub(crate) cost_of_answer: Money,
    pub(crate) success_percent: u32,
    pub(crate) worst_cost: Money,
    pub(crate) timeout_ms: u32,
    pub(crate) source: Source,
}

impl Ranked {
    pub(crate) fn on_prior(&self) -> bool {
        self.source == Source::Prior
    }
}

/// Returns the lesser of two limits.
fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}

impl Twin {
    pub(super) fn judge(&self, asked: &Asked<'_>, offer: &Offer, nobody_else: bool) -> Result<Ranked, Vec<Reason>> {
        let provider = &self.providers[offer.provider.index()];
        let revision = &asked.function.revisions[asked.revision as usize - 1];
        let (code, rung, tariff) = (&revision.code, &offer.rung, &offer.rung.tariff);
        let (own, limits) = (&asked.function.settings.limits, &asked.bid.limits);
        let mut predicted = revision.learned.predict(offer.provider, provider.general_ratio);
        if self.would_try(asked.at, offer.provider, (asked.bid.function, asked.revision)) {
            predicted = predicted.of_trial();
        }
        let mut reasons = self.not_permitted(asked, offer);
        if code.memory_mb < rung.memory_min_mb || code.memory_mb > rung.memory_max_mb {
            let (least_mb, most_mb) = (rung.memory_min_mb, rung.memory_max_mb);
            reasons.push(Reason::MemoryRange { asked_mb: code.memory_mb, least_mb, most_mb });
        }
        if let Some(max_price) = least(limits.max_price, own.max_price)
            && offer.price() > max_price
        {
            reasons.push(Reason::MaxPrice { price: offer.price(), max_price });
        }
        let latency_us = predicted.wall_us + predicted.usage.cold_us;
        if let Some(max_latency_ms) = least(limits.max_latency_ms, own.max_latency_ms)
            && latency_us > u64::from(max_latency_ms) * 1000
        {
            reasons.push(Reason::MaxLatency { predicted_ms: latency_us.div_ceil(1000), max_latency_ms });
        }
        let Affordable { timeout_ms, worst_cost, refused } = affordable(asked, offer, provider.kind);
        reasons.extend(refused);
        if timeout_ms > rung.longest_ms {
            reasons.push(Reason::TooLong { asked_ms: timeout_ms, longest_ms: rung.longest_ms });
        }
        reasons.extend(self.without_room(asked, offer, timeout_ms, worst_cost));
        let revision_of = (asked.bid.function, asked.revision);
        reasons.extend(self.unhealthy(asked.at, offer.provider, revision_of, nobody_else));
        reasons.extend(not_covered(asked, provider.kind, worst_cost));
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let timeout_us = u64::from(timeout_ms) * 1000;
        let mean = predicted.usage;
        let wall_us = mean.wall_us.min(timeout_us);
        let cold_us = mean.cold_us.min(timeout_us - wall_us);
        let egress_bytes = mean.egress_bytes.min(asked.bid.answer_limit_bytes);
        let usage = Usage { wall_us, cold_us, egress_bytes, ..mean };
        let cost = tariff.cost(code.memory_mb, rung.vcpus_milli, &usage);
        let (cost, cost_of_answer) = predicted.bills(cost, worst_cost);
        Ok(Ranked {
            offer: offer.id,
            provider: offer.provider,
            market: offer.market,
            price: offer.price(),
            tariff: *tariff,
            wall_us: predicted.wall_us.min(timeout_us),
            cold_us,
            billed_ms: tariff.billed_ms(&usage),
            cost,
            cost_of_answer,
            success_percent: predicted.success_percent(),
            worst_cost,
            timeout_ms,
            source: predicted.source,
        })
    }

    /// Lists the reasons that time alone may mend.
    fn without_room(&self, asked: &Asked<'_>, offer: &Offer, timeout_ms: u32, worst_cost: Money) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let provider = &self.providers[offer.provider.index()];
        let memory_mb = asked.memory_mb();
        let expired = offer.rung.expires.is_some_and(|expires| expires <= asked.at);
        let free_mb = if expired { 0 } else { self.free_mb(offer) };
        if free_mb < u64::from(memory_mb) {
            let pool = self.pool(offer.provider, offer.rung.pool);
            let full = pool.size.slots > 0 && pool.leases >= pool.size.slots;
            reasons.push(if full { Reason::NoSlot } else { Reason::NoCapacity { asked_mb: memory_mb, free_mb } });
        }
        if provider.shared && !self.leaves_room(offer, asked.bid.account, memory_mb) {
            reasons.push(Reason::AccountShare);
        }
        let reserve = quotas::reserve(&offer.rung.tariff, memory_mb, timeout_ms);
        if let Some(name) = &offer.rung.quota
            && provider.quota(name).is_none_or(|quota| !quota.covers(asked.at, reserve))
        {
            reasons.push(Reason::QuotaExhausted { quota: name.clone() });
        }
        let exposed = self.exposure(offer.provider) + picodollars(worst_cost);
        if provider.limits.exposure.is_some_and(|most| exposed > picodollars(most)) {
            reasons.push(Reason::Exposure);
        }
        reasons
    }

    /// Lists the reasons of the filters that need no prediction, money or room.
    fn not_permitted(&self, asked: &Asked<'_>, offer: &Offer) -> Vec<Reason> {
        let provider = &self.providers[offer.provider.index()];
        let market = &self.markets[offer.market.index()];
        let (bid, settings, code) = (asked.bid, &asked.function.settings, asked.code());
        let (own, limits) = (&settings.limits, &bid.limits);
        let within = |patterns: &[MarketPattern]| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(&market.name))
        };
        let is_own_account = provider.account == bid.account;
        let audience = match &settings.audience {
            Audience::Own => is_own_account,
            Audience::Listed(names) => names.contains(&provider.name),
            Audience::Any => true,
        };
        let target = code.deployments.get(&provider.name);
        let runs_module =
            code.module.is_some() && provider.adapter == Adapter::Agent && market.name.as_str().ends_with("/wasm");
        let is_elsewhere = target.is_some_and(|target| !provider.allows_target(target));
        let excluded = |limits: &Limits| {
            (!limits.only.is_empty() && !limits.only.contains(&provider.name)) || limits.ignore.contains(&provider.name)
        };
        let deals_with_itself = provider.kind == ProviderKind::Market && is_own_account && !market.terms.self_dealing;
        let wrong = [
            (Reason::Market, !within(&settings.markets)),
            (Reason::Region, !within(&limits.markets) || !within(&own.markets)),
            (Reason::MarketClosed, market.terms.state != MarketState::Open),
            (Reason::OutsideBands, market.is_outside_bands(offer.price())),
            (Reason::Barred, self.is_barred(provider)),
            (Reason::SelfDealing, deals_with_itself),
            (Reason::NoDeployment, !runs_module && target.is_none()),
            (Reason::TargetNotAllowed, !runs_module && is_elsewhere),
            (Reason::NotAllowed, !audience || !self.serves(provider, offer, bid)),
            (Reason::Excluded, excluded(limits) || excluded(own)),
            (Reason::AlreadyTried, bid.tried.contains(&offer.provider)),
        ];
        let labels = limits.labels.iter().chain(&own.labels);
        let missing = labels.filter(|(name, value)| provider.labels.get(name) != Some(value));
        let wrong = wrong.into_iter().filter(|(_, wrong)| *wrong).map(|(reason, _)| reason);
        wrong.chain(missing.map(|(name, value)| Reason::MissingLabel { label: format!("{name}={value}") })).collect()
    }

    /// Returns whether the provider serves the bidder: an own one its account and those that the rung names; another
    /// all, or those that the rung names.
    fn serves(&self, provider: &Provider, offer: &Offer, bid: &Bid) -> bool {
        let buyer = &self.accounts[bid.account.index()].name;
        let is_named = offer.rung.audience.iter().any(|name| name.as_str() == buyer);
        match provider.kind {
            ProviderKind::Own => provider.account == bid.account || is_named,
            ProviderKind::Market => offer.rung.audience.is_empty() || is_named,
        }
    }
}

impl Asked<'_> {
    pub(super) fn code(&self) -> &merit_engine::Code {
        &self.function.revisions[self.revision as usize - 1].code
    }

    pub(super) fn memory_mb(&self) -> u32 {
        self.code().memory_mb
    }
}

/// Returns the timeout and worst case that the max cost buys, less the holds of attempts at providers of the other
/// kind.
fn affordable(asked: &Asked<'_>, offer: &Offer, kind: ProviderKind) -> Affordable {
    let (code, rung) = (asked.code(), &offer.rung);
    let worst = |ms| rung.tariff.worst_case(code.memory_mb, rung.vcpus_milli, ms, asked.bid.answer_limit_bytes);
    let max_cost = least(asked.bid.limits.max_cost, asked.function.settings.limits.max_cost);
    let max_cost = max_cost.map(|max_cost| {
        max_cost.saturating_sub(money(asked.covers.elsewhere(kind))).saturating_sub(money(asked.covers.beside))
    });
    let (mut timeout_ms, mut refused) = (code.timeout_ms, None);
    if let Some(max_cost) = max_cost
        && worst(timeout_ms) > max_cost
    {
        timeout_ms = longest(timeout_ms, |ms| worst(ms) <= max_cost);
        if timeout_ms == 0 {
            refused = Some(Reason::MaxCost { least: worst(1), max_cost });
        } else if !rung.enforces_timeout {
            refused = Some(Reason::CannotCutTimeout { worst: worst(code.timeout_ms), max_cost });
        }
    }
    Affordable { timeout_ms, worst_cost: worst(timeout_ms), refused }
}

/// Lists the budgets and funds that do not cover the worst case beyond the holds of the bid. Own providers need no
/// funds.
fn not_covered(asked: &Asked<'_>, kind: ProviderKind, worst_cost: Money) -> Vec<Reason> {
    let hold = picodollars(worst_cost).max(asked.covers.shared(kind));
    let beyond = |shared: u128| hold - shared;
    let in_period = |period| beyond(asked.covers.shared_in(kind, period, asked.at));
    let mut reasons = exceeded(&asked.budgets_left, in_period);
    let needed = beyond(asked.covers.shared(kind));
    if kind == ProviderKind::Market && asked.available < needed as i128 {
        reasons.push(Reason::InsufficientFunds { needed: money(needed) });
    }
    reasons
}

/// Returns the longest timeout up to `most_ms` that `fits`, by bisection; 0 if not even 1 ms does.
fn longest(most_ms: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let mut found_ms = 0_u32;
    for step_ms in (0..32).rev().map(|bit| 1_u32 << bit) {
        if let Some(longer_ms) = found_ms.checked_add(step_ms)
            && longer_ms <= most_ms
            && fits(longer_ms)
        {
            found_ms = longer_ms;
        }
    }
    found_ms
}
