//! Eligibility of one offer for a bid: filters first, then prediction, room, budgets and funds.
//!
//! Judges one offer at a time and changes nothing.

use merit_terms::{Money, ProviderId, Reason, Usage};

use super::merit_order::Candidate;
use super::resolved::ResolvedBid;
use crate::Engine;
use crate::command::{Audience, MarketState, ProviderKind};
use crate::deadlines::OfferSlot;
use crate::market::providers::Provider;
use crate::market::within;
use crate::prediction::reference::Predicted;
use crate::supply::offers::Offer;
use crate::supply::quotas::worst_energy_mb_ms;

impl Engine {
    /// Judges an offer: a candidate with its predicted cost, or the reason against it. Room is judged before budgets,
    /// those before funds, all last, so that the reason is the nearest miss.
    pub(super) fn consider(
        &self,
        resolved: &ResolvedBid<'_>,
        slot: OfferSlot,
        offer: &Offer,
    ) -> Result<Candidate, Reason> {
        let provider = self.registry.provider(offer.provider);
        self.permitted(resolved, offer, provider)?;
        let code = &resolved.revision.code;
        if !(offer.memory_min_mb..=offer.memory_max_mb).contains(&code.memory_mb) {
            return Err(Reason::MemoryRange {
                asked_mb: code.memory_mb,
                least_mb: offer.memory_min_mb,
                most_mb: offer.memory_max_mb,
            });
        }
        if let Some(max_price) = resolved.max_price.filter(|max| offer.price > *max) {
            return Err(Reason::MaxPrice { price: offer.price, max_price });
        }
        let predicted = self.predict(resolved, offer.provider);
        let wait_us = predicted.wall_us + predicted.usage.cold_us;
        if let Some(max_latency_ms) = resolved.max_latency_ms.filter(|max| wait_us > u64::from(*max) * 1000) {
            return Err(Reason::MaxLatency { predicted_ms: wait_us.div_ceil(1000), max_latency_ms });
        }
        let (timeout_ms, worst_cost) = affordable_timeout(resolved, offer, provider.kind)?;
        if timeout_ms > offer.longest_ms {
            return Err(Reason::TooLong { asked_ms: timeout_ms, longest_ms: offer.longest_ms });
        }
        self.has_room(resolved, offer, provider, timeout_ms, worst_cost)?;
        covers(resolved, provider.kind, worst_cost)?;
        let usage = capped(&predicted.usage, timeout_ms, resolved.bid.answer_limit_bytes);
        let cost = offer.tariff.cost(code.memory_mb, offer.vcpus_milli, &usage);
        let cost = predicted.bill(cost, worst_cost);
        Ok(Candidate {
            slot,
            offer: offer.id,
            provider: offer.provider,
            market: offer.market,
            price: offer.price,
            tariff: offer.tariff,
            wall_us: predicted.wall_us.min(u64::from(timeout_ms) * 1000),
            cold_us: usage.cold_us,
            billed_ms: offer.tariff.billed_ms(&usage),
            cost,
            cost_of_answer: predicted.calls.bill(cost),
            success_percent: predicted.calls.success_percent(),
            worst_cost,
            timeout_ms,
            source: predicted.source,
            place: offer.place,
        })
    }

    /// Predicts a call at a provider. The trial of one that is behind is ranked as if all calls succeeded.
    pub(super) fn predict(&self, resolved: &ResolvedBid<'_>, provider: ProviderId) -> Predicted {
        let general = self.registry.provider(provider).general_ratio();
        let predicted = resolved.revision.learned().predict(resolved.reference.as_ref(), provider, general);
        let health = self.shelf.seller(provider).health();
        if !health.is_well() && health.awaits_trial((resolved.bid.function, resolved.number), resolved.at) {
            return Predicted { calls: predicted.calls.at_most_one(), ..predicted };
        }
        predicted
    }

    /// Filters by everything but predictions and capacity.
    fn permitted(&self, resolved: &ResolvedBid<'_>, offer: &Offer, provider: &Provider) -> Result<(), Reason> {
        let (settings, bid) = (&resolved.function.settings, resolved.bid);
        let market = self.registry.market(offer.market);
        if !resolved.function.markets().contains(&offer.market) {
            return Err(Reason::Market);
        }
        if !within(&bid.limits.markets, &market.name) || !within(&settings.limits.markets, &market.name) {
            return Err(Reason::Region);
        }
        if market.terms.state != MarketState::Open {
            return Err(Reason::MarketClosed);
        }
        let own = provider.account == bid.account;
        let serves = match provider.kind {
            ProviderKind::Own => own || offer.audience().contains(&bid.account),
            ProviderKind::Market => offer.audience().is_empty() || offer.audience().contains(&bid.account),
        };
        let by_module = resolved.has_module() && market.by_module();
        if !serves || !resolved.permits(offer.provider, by_module) {
            return Err(if serves { why_not(resolved, offer, provider, by_module) } else { Reason::NotAllowed });
        }
        if provider.killed.is_some() || self.ledger.account(provider.account).frozen {
            return Err(Reason::Barred);
        }
        if own && provider.kind == ProviderKind::Market && !market.terms.self_dealing {
            return Err(Reason::SelfDealing);
        }
        match market.terms.bands_without(offer.price) {
            Some(_) => Err(Reason::OutsideBands),
            None => Ok(()),
        }
    }

    /// Refuses an offer without health, capacity, quota or exposure for the call.
    fn has_room(
        &self,
        resolved: &ResolvedBid<'_>,
        offer: &Offer,
        provider: &Provider,
        timeout_ms: u32,
        worst_cost: Money,
    ) -> Result<(), Reason> {
        let seller = self.shelf.seller(offer.provider);
        if !seller.health().is_well()
            && let Some(reason) =
                seller.health().refuses((resolved.bid.function, resolved.number), resolved.at, resolved.behind)
        {
            return Err(reason);
        }
        let asked_mb = resolved.revision.code.memory_mb;
        // An expired offer sells nothing more, even while more is due than one command runs.
        let expired = offer.expires.is_some_and(|expires| expires <= resolved.at);
        let free_mb = if expired { 0 } else { self.shelf.free_mb(offer) };
        if free_mb < u64::from(asked_mb) {
            return Err(if self.shelf.pool_of(offer).is_full() {
                Reason::NoSlot
            } else {
                Reason::NoCapacity { asked_mb, free_mb }
            });
        }
        if seller.is_shared() && !self.shelf.pool_of(offer).leaves_room(resolved.bid.account, asked_mb) {
            return Err(Reason::AccountShare);
        }
        if let Some(quota) = offer.quota {
            let allowance = &seller.quotas()[quota as usize];
            if !allowance.affords(worst_energy_mb_ms(&offer.tariff, asked_mb, timeout_ms), &self.calendar) {
                return Err(Reason::QuotaExhausted { quota: allowance.quota().name.clone() });
            }
        }
        if provider.may_be_exposed_to(worst_cost) { Ok(()) } else { Err(Reason::Exposure) }
    }
}

/// Refuses a hold that budgets and funds do not cover: the worst case beyond the holds of earlier attempts.
fn covers(resolved: &ResolvedBid<'_>, kind: ProviderKind, worst_cost: Money) -> Result<(), Reason> {
    let hold = worst_cost.max(resolved.hold).max(resolved.shared(kind));
    for (period, left) in &resolved.budgets {
        let needed = hold.saturating_sub(resolved.shared_in(kind, *period));
        if i128::from(needed.picodollars()) > *left {
            return Err(Reason::BudgetExceeded { period: *period, needed });
        }
    }
    let needed = hold.saturating_sub(resolved.shared(kind));
    if kind == ProviderKind::Market && resolved.available < i128::from(needed.picodollars()) {
        return Err(Reason::InsufficientFunds { needed });
    }
    Ok(())
}

/// Returns the usage that is billed of a predicted call: no more than its timeout and its answer limit.
pub(super) fn capped(predicted: &Usage, timeout_ms: u32, answer_limit_bytes: u64) -> Usage {
    let most_us = u64::from(timeout_ms) * 1000;
    let wall_us = predicted.wall_us.min(most_us);
    Usage {
        wall_us,
        cpu_us: predicted.cpu_us,
        cold_us: predicted.cold_us.min(most_us - wall_us),
        egress_bytes: predicted.egress_bytes.min(answer_limit_bytes),
    }
}

/// Returns the reason why a provider is not permitted.
fn why_not(resolved: &ResolvedBid<'_>, offer: &Offer, provider: &Provider, by_module: bool) -> Reason {
    let settings = &resolved.function.settings;
    let allowed = match &settings.audience {
        Audience::Own => provider.account == resolved.bid.account,
        Audience::Listed(names) => names.contains(&provider.name),
        Audience::Any => true,
    };
    let is_run_by_module = by_module && provider.adapter.runs_modules();
    let target = resolved.revision.code.deployments.get(&provider.name);
    let limits = [&resolved.bid.limits, &settings.limits];
    if !allowed {
        Reason::NotAllowed
    } else if !is_run_by_module && target.is_none() {
        Reason::NoDeployment
    } else if !is_run_by_module && target.is_some_and(|target| !provider.allows_target(target)) {
        Reason::TargetNotAllowed
    } else if !limits.iter().all(|limits| limits.permits(&provider.name)) {
        Reason::Excluded
    } else if resolved.bid.tried.contains(&offer.provider) {
        Reason::AlreadyTried
    } else {
        let mut labels = limits.into_iter().flat_map(|limits| &limits.labels);
        let missing = labels.find(|(name, value)| provider.labels.get(name) != Some(value));
        let label = missing.map_or_else(String::new, |(name, value)| format!("{name}={value}"));
        Reason::MissingLabel { label }
    }
}

/// Returns the longest timeout, up to the function's, that the max cost buys on this offer, with its worst case.
fn affordable_timeout(resolved: &ResolvedBid<'_>, offer: &Offer, kind: ProviderKind) -> Result<(u32, Money), Reason> {
    let (code, tariff, answer) = (&resolved.revision.code, &offer.tariff, resolved.bid.answer_limit_bytes);
    let worst_of = |ms| tariff.worst_case(code.memory_mb, offer.vcpus_milli, ms, answer);
    let worst = worst_of(code.timeout_ms);
    let Some(max_cost) = resolved.max_cost_at(kind).filter(|max| worst > *max) else {
        return Ok((code.timeout_ms, worst));
    };
    let cut = tariff.longest_within(max_cost, code.memory_mb, offer.vcpus_milli, code.timeout_ms, answer);
    match cut {
        None => Err(Reason::MaxCost { least: worst_of(1), max_cost }),
        Some(_) if !offer.enforces_timeout => Err(Reason::CannotCutTimeout { worst, max_cost }),
        Some(ms) => Ok((ms, worst_of(ms))),
    }
}
