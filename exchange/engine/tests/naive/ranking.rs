//! Which offers may serve a bid and in which order: every filter on every offer, then one sort.

use merit_engine::{Audience, Bid, ProviderKind};
use merit_terms::{FunctionId, MarketId, Money, NoOffer, OfferId, Price, ProviderId, Reason, Refusal, Tariff, Usage};

use super::durations::{median, predicted, predicted_on_prior};
use super::{Function, Offer, Provider, Revision, Twin, invalid, unknown};

/// An eligible offer with what is predicted of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ranked {
    pub(crate) offer: OfferId,
    pub(crate) provider: ProviderId,
    pub(crate) market: MarketId,
    pub(crate) price: Price,
    pub(crate) tariff: Tariff,
    pub(crate) wall_us: u64,
    pub(crate) billed_ms: u64,
    pub(crate) cost: Money,
    pub(crate) worst_cost: Money,
    pub(crate) timeout_ms: u32,
    pub(crate) on_prior: bool,
}

/// The whole decision on a bid.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) revision: u32,
    pub(crate) memory_mb: u32,
    /// The first serves the bid.
    pub(crate) ranked: Vec<Ranked>,
    /// Every reason against each other offer.
    pub(crate) refused: Vec<(OfferId, Vec<Reason>)>,
}

/// The least of what two limits allow.
fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}

impl Twin {
    pub(crate) fn decide(&self, bid: &Bid) -> Result<Decision, Refusal> {
        if bid.limits.check().is_err() {
            return Err(invalid("limits"));
        }
        self.account(bid.account)?;
        let function = self.functions.get(bid.function.index()).filter(|f| !f.deleted && f.account == bid.account);
        let function = function.ok_or_else(|| unknown("function", bid.function.number()))?;
        let number = function.resolve(&bid.qualifier)?;
        let revision = &function.revisions[number as usize - 1];
        let mut decision =
            Decision { revision: number, memory_mb: revision.code.memory_mb, ranked: Vec::new(), refused: Vec::new() };
        let mut ranked = Vec::new();
        for offer in &self.offers {
            match self.judge(bid, function, revision, offer) {
                Ok(candidate) => ranked.push((offer.place, candidate)),
                Err(reasons) => decision.refused.push((offer.id, reasons)),
            }
        }
        if ranked.iter().any(|(_, candidate)| !candidate.on_prior) {
            ranked.retain(|(_, candidate)| {
                let probing = candidate.on_prior && self.is_tried(bid.function, number, candidate.provider);
                if probing {
                    decision.refused.push((candidate.offer, vec![Reason::Probing]));
                }
                !probing
            });
        }
        ranked.sort_by_key(|(place, candidate)| (candidate.cost, *place, candidate.offer));
        decision.ranked = ranked.into_iter().map(|(_, candidate)| candidate).collect();
        Ok(decision)
    }

    /// Whether a running lease of the revision tries the provider without history.
    fn is_tried(&self, function: FunctionId, revision: u32, provider: ProviderId) -> bool {
        self.leases.iter().any(|open| {
            let lease = &open.lease;
            let same = (lease.function, lease.revision, lease.provider) == (function, revision, provider);
            same && lease.on_prior && open.has_capacity
        })
    }

    /// Leases of the function that still take capacity.
    pub(crate) fn running(&self, function: FunctionId) -> u32 {
        self.leases.iter().filter(|open| open.has_capacity && open.lease.function == function).count() as u32
    }

    /// What the nearest offer lacks: funds before room before anything else.
    pub(super) fn no_offer(&self, decision: &Decision) -> Refusal {
        let lacking =
            |allowed: fn(&Reason) -> bool| decision.refused.iter().any(|(_, reasons)| reasons.iter().all(allowed));
        let class = if lacking(Reason::is_funds) {
            NoOffer::Funds
        } else if lacking(|reason| reason.is_room() || reason.is_funds()) {
            NoOffer::Room
        } else {
            NoOffer::Eligible
        };
        let has_offer = |market: &u32| self.offers.iter().any(|offer| offer.market.number() == *market);
        let markets = (0..self.markets.len() as u32).filter(has_offer).count() as u32;
        Refusal::NoOffer { class, offers: self.offers.len() as u32, markets }
    }

    fn judge(&self, bid: &Bid, function: &Function, revision: &Revision, offer: &Offer) -> Result<Ranked, Vec<Reason>> {
        let provider = &self.providers[offer.provider.index()];
        let (code, rung, tariff) = (&revision.code, &offer.rung, &offer.rung.tariff);
        let price = tariff.reference_price();
        let (own, limits) = (&function.settings.limits, &bid.limits);
        let (wall_us, cpu_us, on_prior) = predict(revision, offer.provider, provider);
        let mut reasons = self.not_permitted(bid, function, revision, offer);
        if code.memory_mb < rung.memory_min_mb || code.memory_mb > rung.memory_max_mb {
            reasons.push(Reason::MemoryRange {
                asked_mb: code.memory_mb,
                least_mb: rung.memory_min_mb,
                most_mb: rung.memory_max_mb,
            });
        }
        if let Some(max_price) = least(limits.max_price, own.max_price)
            && price > max_price
        {
            reasons.push(Reason::MaxPrice { price, max_price });
        }
        if let Some(max_latency_ms) = least(limits.max_latency_ms, own.max_latency_ms)
            && wall_us > u64::from(max_latency_ms) * 1000
        {
            reasons.push(Reason::MaxLatency { predicted_ms: wall_us.div_ceil(1000), max_latency_ms });
        }
        let worst = |ms| tariff.worst_case(code.memory_mb, rung.vcpus_milli, ms, bid.answer_limit_bytes);
        let mut timeout_ms = code.timeout_ms;
        if let Some(max_cost) = least(limits.max_cost, own.max_cost)
            && worst(timeout_ms) > max_cost
        {
            timeout_ms = longest(timeout_ms, |ms| worst(ms) <= max_cost);
            if timeout_ms == 0 {
                reasons.push(Reason::MaxCost { least: worst(1), max_cost });
            } else if !rung.enforces_timeout {
                reasons.push(Reason::CannotCutTimeout { worst: worst(code.timeout_ms), max_cost });
            }
        }
        if timeout_ms > rung.longest_ms {
            reasons.push(Reason::TooLong { asked_ms: timeout_ms, longest_ms: rung.longest_ms });
        }
        let free_mb = self.free_mb(offer);
        if free_mb < u64::from(code.memory_mb) {
            let pool = self.pools(offer.provider)[rung.pool as usize];
            let full = pool.size.slots > 0 && pool.leases >= pool.size.slots;
            let no_capacity = Reason::NoCapacity { asked_mb: code.memory_mb, free_mb };
            reasons.push(if full { Reason::NoSlot } else { no_capacity });
        }
        let worst_cost = worst(timeout_ms);
        if provider.kind == ProviderKind::Market && self.available(bid) < i128::from(worst_cost.picodollars()) {
            reasons.push(Reason::InsufficientFunds { needed: worst_cost });
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let wall_us = wall_us.min(u64::from(timeout_ms) * 1000);
        let usage = Usage { wall_us, cpu_us, cold_us: 0, egress_bytes: 0 };
        Ok(Ranked {
            offer: offer.id,
            provider: offer.provider,
            market: offer.market,
            price,
            tariff: *tariff,
            wall_us,
            billed_ms: tariff.billed_ms(&usage),
            cost: tariff.cost(code.memory_mb, rung.vcpus_milli, &usage),
            worst_cost,
            timeout_ms,
            on_prior,
        })
    }

    fn available(&self, bid: &Bid) -> i128 {
        self.accounts[bid.account.index()].balance - self.held(bid.account) as i128
    }

    fn not_permitted(&self, bid: &Bid, function: &Function, revision: &Revision, offer: &Offer) -> Vec<Reason> {
        let provider = &self.providers[offer.provider.index()];
        let market = &self.markets[offer.market.index()].name;
        let (settings, code) = (&function.settings, &revision.code);
        let (own, limits) = (&settings.limits, &bid.limits);
        let within = |patterns: &[merit_terms::MarketPattern]| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(market))
        };
        let is_own = provider.account == bid.account;
        let audience = match &settings.audience {
            Audience::Own => is_own,
            Audience::Listed(names) => names.contains(&provider.name),
            Audience::Any => true,
        };
        let deployed = code.deployments.contains_key(&provider.name)
            || (code.module.is_some() && market.as_str().ends_with("/wasm"));
        let excluded = |limits: &merit_terms::Limits| {
            (!limits.only.is_empty() && !limits.only.contains(&provider.name)) || limits.ignore.contains(&provider.name)
        };
        let wrong = [
            (Reason::Market, !within(&settings.markets)),
            (Reason::Region, !within(&limits.markets) || !within(&own.markets)),
            (Reason::NoDeployment, !deployed),
            (Reason::NotAllowed, !audience || (provider.kind == ProviderKind::Own && !is_own)),
            (Reason::Excluded, excluded(limits) || excluded(own)),
            (Reason::AlreadyTried, bid.tried.contains(&offer.provider)),
        ];
        let asked = limits.labels.iter().chain(&own.labels);
        let missing = asked.filter(|(name, value)| provider.labels.get(name) != Some(value));
        wrong
            .into_iter()
            .filter(|(_, wrong)| *wrong)
            .map(|(reason, _)| reason)
            .chain(missing.map(|(name, value)| Reason::MissingLabel { label: format!("{name}={value}") }))
            .collect()
    }
}

/// The longest timeout up to `most_ms` that `fits`, found by halving the step; 0 if not even 1 ms does.
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

/// Wall and CPU time in microseconds, and whether they rest on no history of the provider.
fn predict(revision: &Revision, id: ProviderId, provider: &Provider) -> (u64, u64, bool) {
    let histories = &revision.histories;
    let wall = median(histories.iter().map(|(_, history)| history.wall).collect());
    let cpu = median(histories.iter().map(|(_, history)| history.cpu).collect());
    let (Some(wall), Some(cpu)) = (wall, cpu) else {
        return (100_000, 100_000, false);
    };
    match histories.iter().find(|(provider, _)| *provider == id) {
        Some((_, own)) => (predicted(own.wall, wall), predicted(own.cpu, cpu), false),
        None => {
            let prior = |median| predicted_on_prior(median, provider.general_ratio);
            (prior(wall), prior(cpu), true)
        }
    }
}
