//! Whether one offer may serve a bid: filters first, then what is predicted, room, budgets and funds.
//!
//! Judges one offer at a time and changes nothing.

use merit_terms::{Money, Price, ProviderId, Reason, Usage};

use super::{Asked, Candidate, index};
use crate::Engine;
use crate::command::{Adapter, Audience, MarketState, ProviderKind};
use crate::market::{Provider, within};
use crate::prediction::durations::Predicted;
use crate::supply::quotas::worst_energy_mb_ms;
use crate::supply::{Offer, OfferSlot};

impl Engine {
    /// Whether `offer` may serve the bid, and what it is predicted to cost. Room is judged before budgets, those before
    /// funds, all last, so that what is reported as missing is the nearest miss.
    pub(crate) fn consider(&self, asked: &Asked<'_>, slot: OfferSlot, offer: &Offer) -> Result<Candidate, Reason> {
        let provider = &self.registry.providers[offer.provider.index()];
        self.permitted(asked, offer, provider)?;
        let code = &asked.revision.code;
        if !(offer.memory_min_mb..=offer.memory_max_mb).contains(&code.memory_mb) {
            return Err(Reason::MemoryRange {
                asked_mb: code.memory_mb,
                least_mb: offer.memory_min_mb,
                most_mb: offer.memory_max_mb,
            });
        }
        if let Some(max_price) = asked.max_price.filter(|max| offer.price > *max) {
            return Err(Reason::MaxPrice { price: offer.price, max_price });
        }
        let predicted = self.predict(asked, offer.provider);
        let wait_us = predicted.wall_us + predicted.cold_us;
        if let Some(max_latency_ms) = asked.max_latency_ms.filter(|max| wait_us > u64::from(*max) * 1000) {
            return Err(Reason::MaxLatency { predicted_ms: wait_us.div_ceil(1000), max_latency_ms });
        }
        let (timeout_ms, worst_cost) = affordable_timeout(asked, offer, provider.kind)?;
        if timeout_ms > offer.longest_ms {
            return Err(Reason::TooLong { asked_ms: timeout_ms, longest_ms: offer.longest_ms });
        }
        self.has_room(asked, offer, provider, timeout_ms, worst_cost)?;
        covers(asked, provider.kind, worst_cost)?;
        let most_us = u64::from(timeout_ms) * 1000;
        let wall_us = predicted.wall_us.min(most_us);
        let cold_us = predicted.cold_us.min(most_us - wall_us);
        let usage = Usage { wall_us, cpu_us: predicted.cpu_us, cold_us, egress_bytes: 0 };
        Ok(Candidate {
            slot,
            offer: offer.id,
            provider: offer.provider,
            market: offer.market,
            price: offer.price,
            tariff: offer.tariff,
            wall_us,
            cold_us,
            billed_ms: offer.tariff.billed_ms(&usage),
            cost: offer.tariff.cost(code.memory_mb, offer.vcpus_milli, &usage),
            worst_cost,
            timeout_ms,
            on_prior: predicted.on_prior,
            place: offer.place,
        })
    }

    pub(crate) fn predict(&self, asked: &Asked<'_>, provider: ProviderId) -> Predicted {
        let general = self.registry.providers[provider.index()].general_ratio;
        asked.revision.durations.predict(asked.reference, provider, general)
    }

    /// The filters that neither predictions nor capacity enter.
    fn permitted(&self, asked: &Asked<'_>, offer: &Offer, provider: &Provider) -> Result<(), Reason> {
        let (settings, bid) = (&asked.function.settings, asked.bid);
        let market = &self.registry.markets[offer.market.index()];
        if !asked.function.markets.contains(&offer.market) {
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
        let by_module = asked.has_module() && market.by_module;
        if !serves || !asked.permits(offer.provider, by_module) {
            return Err(if serves { why_not(asked, offer, provider, by_module) } else { Reason::NotAllowed });
        }
        if provider.killed.is_some() || self.ledger.accounts[provider.account.index()].frozen {
            return Err(Reason::Barred);
        }
        if own && provider.kind == ProviderKind::Market && !market.terms.self_dealing {
            return Err(Reason::SelfDealing);
        }
        match market.terms.bands {
            Some((low, high)) if offer.price > Price::ZERO && !(low..=high).contains(&offer.price) => {
                Err(Reason::OutsideBands)
            }
            _ => Ok(()),
        }
    }

    fn has_room(
        &self,
        asked: &Asked<'_>,
        offer: &Offer,
        provider: &Provider,
        timeout_ms: u32,
        worst_cost: Money,
    ) -> Result<(), Reason> {
        if !provider.health.is_well()
            && let Some(reason) = provider.health.refuses((asked.bid.function, asked.number), asked.at)
        {
            return Err(reason);
        }
        let asked_mb = asked.revision.code.memory_mb;
        // What has expired sells nothing more, even while more is due than one command runs.
        let expired = offer.expires.is_some_and(|expires| expires <= asked.at);
        let free_mb = if expired { 0 } else { self.shelf.free_mb(offer) };
        if free_mb < u64::from(asked_mb) {
            let pool = &self.shelf.pools[offer.pool as usize];
            let full = pool.size.slots > 0 && pool.leases >= pool.size.slots;
            return Err(if full { Reason::NoSlot } else { Reason::NoCapacity { asked_mb, free_mb } });
        }
        if let Some(quota) = offer.quota {
            let allowance = &provider.quotas[quota as usize];
            if !allowance.affords(worst_energy_mb_ms(&offer.tariff, asked_mb, timeout_ms), &self.calendar) {
                return Err(Reason::QuotaExhausted { quota: allowance.quota.name.clone() });
            }
        }
        match provider.limits.exposure {
            Some(most) if provider.exposure + u128::from(worst_cost.picodollars()) > u128::from(most.picodollars()) => {
                Err(Reason::Exposure)
            }
            _ => Ok(()),
        }
    }
}

/// Whether budgets and funds cover what would be held: the worst case, beyond what earlier attempts hold already.
fn covers(asked: &Asked<'_>, kind: ProviderKind, worst_cost: Money) -> Result<(), Reason> {
    let hold = worst_cost.max(asked.hold).max(asked.shared(kind));
    for (period, left) in &asked.budgets {
        let period_of = asked.at.period(*period);
        let shared = asked.sum(|shared| shared.kind == kind && shared.matched_at.period(*period) == period_of);
        let needed = hold.saturating_sub(shared);
        if i128::from(needed.picodollars()) > *left {
            return Err(Reason::BudgetExceeded { period: *period, needed });
        }
    }
    let needed = hold.saturating_sub(asked.shared(kind));
    if kind == ProviderKind::Market && asked.available < i128::from(needed.picodollars()) {
        return Err(Reason::InsufficientFunds { needed });
    }
    Ok(())
}

/// Why a provider is not permitted.
fn why_not(asked: &Asked<'_>, offer: &Offer, provider: &Provider, by_module: bool) -> Reason {
    let settings = &asked.function.settings;
    let allowed = match &settings.audience {
        Audience::Own => provider.account == asked.bid.account,
        Audience::Listed(names) => names.contains(&provider.name),
        Audience::Any => true,
    };
    let is_run_by_module = by_module && provider.adapter == Adapter::Agent;
    let is_deployed = asked.revision.code.deployments.contains_key(&provider.name);
    let limits = [&asked.bid.limits, &settings.limits];
    if !allowed {
        Reason::NotAllowed
    } else if !(is_run_by_module || is_deployed) {
        Reason::NoDeployment
    } else if !limits.iter().all(|limits| limits.permits(&provider.name)) {
        Reason::Excluded
    } else if asked.bid.tried.contains(&offer.provider) {
        Reason::AlreadyTried
    } else {
        let mut labels = limits.into_iter().flat_map(|limits| &limits.labels);
        let missing = labels.find(|(name, value)| provider.labels.get(name) != Some(value));
        let label = missing.map_or_else(String::new, |(name, value)| format!("{name}={value}"));
        Reason::MissingLabel { label }
    }
}

/// The longest timeout, up to the function's, that the max cost buys on this offer, with its worst case.
fn affordable_timeout(asked: &Asked<'_>, offer: &Offer, kind: ProviderKind) -> Result<(u32, Money), Reason> {
    let (code, tariff, answer) = (&asked.revision.code, &offer.tariff, asked.bid.answer_limit_bytes);
    let worst_of = |ms| tariff.worst_case(code.memory_mb, offer.vcpus_milli, ms, answer);
    let worst = worst_of(code.timeout_ms);
    let Some(max_cost) = asked.max_cost[index(kind)].filter(|max| worst > *max) else {
        return Ok((code.timeout_ms, worst));
    };
    let cut = tariff.longest_within(max_cost, code.memory_mb, offer.vcpus_milli, code.timeout_ms, answer);
    match cut {
        None => Err(Reason::MaxCost { least: worst_of(1), max_cost }),
        Some(_) if !offer.enforces_timeout => Err(Reason::CannotCutTimeout { worst, max_cost }),
        Some(ms) => Ok((ms, worst_of(ms))),
    }
}
