//! Which offer serves a bid: filters first, then the least predicted cost, then the longest wait.
//!
//! Looks, and never changes anything; taking what was found is `leases`. Looks at every offer of the bid's
//! markets: linear in their number.

use merit_terms::{
    MarketId, MarketName, MarketPattern, Money, NoOffer, OfferId, Price, ProviderId, Reason, Refusal, Tariff, Usage,
};

use crate::book::{Offer, OfferSlot};
use crate::command::{Audience, Bid, ProviderKind};
use crate::estimate::{LogDuration, median};
use crate::registry::{Function, Market, Provider, Revision, unknown_function};
use crate::{Account, Engine};

/// A revision that nobody has run is predicted to take this long everywhere, so that tariffs alone rank.
const UNKNOWN_US: u64 = 100_000;
/// The market class in which a module is deployed at every provider that the function allows.
const MODULE_CLASS: &str = "wasm";

/// An offer that may serve a bid, with what is predicted of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub(crate) slot: OfferSlot,
    pub offer: OfferId,
    pub provider: ProviderId,
    pub market: MarketId,
    pub price: Price,
    pub tariff: Tariff,
    pub wall_us: u64,
    pub billed_ms: u64,
    pub cost: Money,
    /// The most that it can cost: what is held.
    pub worst_cost: Money,
    /// The function's timeout, or less where the caller's max cost buys less.
    pub timeout_ms: u32,
    /// Whether the prediction rests on no history of this provider.
    pub on_prior: bool,
    pub(crate) place: u64,
}

/// An offer that may not serve a bid, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub offer: OfferId,
    pub provider: ProviderId,
    pub market: MarketId,
    pub reason: Reason,
}

/// The whole decision on a bid: what [`Engine::quote`] answers.
#[derive(Clone, Debug, PartialEq)]
pub struct MeritOrder {
    pub revision: u32,
    /// Cheapest first; the first would serve the bid, if the function's `max_concurrency` lets it run.
    pub offers: Vec<Candidate>,
    pub refused: Vec<Refused>,
}

/// The part of a decision that a match needs.
pub(crate) struct Best {
    pub(crate) revision: u32,
    pub(crate) winner: Candidate,
    pub(crate) runner_up: Option<Candidate>,
}

/// What is known of a bid before any offer is looked at.
struct Asked<'a> {
    bid: &'a Bid,
    function: &'a Function,
    revision: &'a Revision,
    buyer: &'a Account,
    max_cost: Option<Money>,
    max_price: Option<Price>,
    max_latency_ms: Option<u32>,
    /// What each market allows, by its id.
    markets: Vec<InMarket>,
    /// The median durations (wall, CPU) over the providers with history; none: nobody ran it.
    median: Option<(LogDuration, LogDuration)>,
}

/// Whether a bid may be served in a market, judged once for all its offers.
struct InMarket {
    permitted: Result<(), Reason>,
    /// Whether a module is deployed here at every provider that the function allows.
    by_module: bool,
}

impl Engine {
    /// The ranked merit order for `bid` now, and why the other offers are refused. Changes nothing.
    pub fn quote(&self, bid: &Bid) -> Result<MeritOrder, Refusal> {
        let (number, asked) = self.asked(bid)?;
        let (mut offers, mut refused) = (Vec::new(), Vec::new());
        for offer in self
            .registry
            .markets
            .iter()
            .flat_map(|market| &market.book)
            .filter_map(|s| self.shelf.offer(*s).map(|o| (*s, o)))
        {
            let (slot, offer) = offer;
            match self.consider(&asked, slot, offer) {
                Ok(candidate) => offers.push(candidate),
                Err(reason) => {
                    refused.push(Refused { offer: offer.id, provider: offer.provider, market: offer.market, reason });
                }
            }
        }
        if offers.iter().any(|offer| !offer.on_prior) {
            let probing =
                |candidate: &Candidate| candidate.on_prior && asked.revision.probes.contains_key(&candidate.provider);
            refused.extend(offers.iter().filter(|candidate| probing(candidate)).map(|candidate| Refused {
                offer: candidate.offer,
                provider: candidate.provider,
                market: candidate.market,
                reason: Reason::Probing,
            }));
            offers.retain(|candidate| !probing(candidate));
        }
        offers.sort_by_key(Candidate::rank);
        Ok(MeritOrder { revision: number, offers, refused })
    }

    /// The offer that serves `bid`, and the next provider's best; or what the nearest one lacks.
    pub(crate) fn best(&self, bid: &Bid) -> Result<Best, Refusal> {
        let (revision, asked) = self.asked(bid)?;
        if let Some(max_concurrency) = asked.function.settings.max_concurrency
            && asked.function.running >= max_concurrency
        {
            return Err(Refusal::MaxConcurrency { running: asked.function.running, max_concurrency });
        }
        let (mut open, mut probed) = (TopTwo::default(), TopTwo::default());
        let (mut lacks, mut offers, mut markets) = (NoOffer::Eligible, 0, 0);
        for market in &self.registry.markets {
            markets += u32::from(!market.book.is_empty());
            for slot in &market.book {
                let Some(offer) = self.shelf.offer(*slot) else { continue };
                offers += 1;
                match self.consider(&asked, *slot, offer) {
                    Ok(candidate) if candidate.on_prior && asked.revision.probes.contains_key(&candidate.provider) => {
                        probed.offer(candidate);
                    }
                    Ok(candidate) => open.offer(candidate),
                    Err(reason) => lacks = lacks.min(reason.class()),
                }
            }
        }
        // A newcomer under trial is asked again only where nobody with history can serve.
        let top = if open.any_with_history { open } else { open.and(probed) };
        match top.first {
            Some(winner) => Ok(Best { revision, winner, runner_up: top.second }),
            None => Err(Refusal::NoOffer { class: lacks, offers, markets }),
        }
    }

    fn asked<'a>(&'a self, bid: &'a Bid) -> Result<(u32, Asked<'a>), Refusal> {
        bid.limits
            .check()
            .map_err(|error| Refusal::Invalid { field: "limits".to_owned(), message: error.to_string() })?;
        let buyer = self.ledger.get(bid.account)?;
        let function = self.registry.function(bid.function)?;
        if function.account != bid.account {
            return Err(unknown_function(bid.function)); // its name is not theirs to learn
        }
        let number = function.resolve(&bid.qualifier)?;
        let revision = function
            .revision(number)
            .ok_or_else(|| Refusal::Unknown { what: "revision", name: format!("{}:{number}", function.name) })?;
        let (limits, own) = (&bid.limits, &function.settings.limits);
        let median_of = |select: fn(&crate::estimate::Estimate) -> LogDuration| {
            median(revision.estimates.values().map(select).collect())
        };
        let code = &revision.code;
        let in_market = |market: &Market| InMarket {
            permitted: permitted_in(&market.name, bid, function),
            by_module: code.module.is_some() && market.name.class() == MODULE_CLASS,
        };
        let asked = Asked {
            bid,
            function,
            revision,
            buyer,
            max_cost: limits.max_cost.into_iter().chain(own.max_cost).min(),
            max_price: limits.max_price.into_iter().chain(own.max_price).min(),
            max_latency_ms: limits.max_latency_ms.into_iter().chain(own.max_latency_ms).min(),
            markets: self.registry.markets.iter().map(in_market).collect(),
            median: median_of(|e| e.wall).zip(median_of(|e| e.cpu)),
        };
        Ok((number, asked))
    }

    /// Whether `offer` may serve the bid, and what it is predicted to cost. Room is judged before funds, and
    /// both last, so that what is reported as missing is the nearest miss.
    fn consider(&self, asked: &Asked<'_>, slot: OfferSlot, offer: &Offer) -> Result<Candidate, Reason> {
        let provider = &self.registry.providers[offer.provider.index()];
        permitted(asked, offer, provider)?;
        let (code, rung) = (&asked.revision.code, &offer.rung);
        if !(rung.memory_min_mb..=rung.memory_max_mb).contains(&code.memory_mb) {
            return Err(Reason::MemoryRange {
                asked_mb: code.memory_mb,
                least_mb: rung.memory_min_mb,
                most_mb: rung.memory_max_mb,
            });
        }
        let (wall_us, cpu_us, on_prior) = predict(asked, offer.provider, provider);
        if let Some(max_price) = asked.max_price.filter(|max| offer.price > *max) {
            return Err(Reason::MaxPrice { price: offer.price, max_price });
        }
        if let Some(max_latency_ms) = asked.max_latency_ms.filter(|max| wall_us > u64::from(*max) * 1000) {
            return Err(Reason::MaxLatency { predicted_ms: wall_us.div_ceil(1000), max_latency_ms });
        }
        let (timeout_ms, worst_cost) = affordable_timeout(asked, offer)?;
        if timeout_ms > rung.longest_ms {
            return Err(Reason::TooLong { asked_ms: timeout_ms, longest_ms: rung.longest_ms });
        }
        let free_mb = self.shelf.free_mb(offer);
        if free_mb < u64::from(code.memory_mb) {
            let pool = &self.shelf.pools[offer.pool as usize];
            let full = pool.size.slots > 0 && pool.leases >= pool.size.slots;
            return Err(if full { Reason::NoSlot } else { Reason::NoCapacity { asked_mb: code.memory_mb, free_mb } });
        }
        if provider.kind == ProviderKind::Market && !asked.buyer.affords(worst_cost) {
            return Err(Reason::InsufficientFunds { needed: worst_cost });
        }
        let wall_us = wall_us.min(u64::from(timeout_ms) * 1000);
        let usage = Usage { wall_us, cpu_us, cold_us: 0, egress_bytes: 0 };
        Ok(Candidate {
            slot,
            offer: offer.id,
            provider: offer.provider,
            market: offer.market,
            price: offer.price,
            tariff: rung.tariff,
            wall_us,
            billed_ms: rung.tariff.billed_ms(&usage),
            cost: rung.tariff.cost(code.memory_mb, rung.vcpus_milli, &usage),
            worst_cost,
            timeout_ms,
            on_prior,
            place: offer.place,
        })
    }
}

/// The filters that look at the market alone.
fn permitted_in(market: &MarketName, bid: &Bid, function: &Function) -> Result<(), Reason> {
    let settings = &function.settings;
    let any = |patterns: &[MarketPattern]| patterns.is_empty() || patterns.iter().any(|p| p.matches(market));
    if !any(&settings.markets) {
        Err(Reason::Market)
    } else if !any(&bid.limits.markets) || !any(&settings.limits.markets) {
        Err(Reason::Region)
    } else {
        Ok(())
    }
}

/// The filters that neither predictions nor capacity enter.
fn permitted(asked: &Asked<'_>, offer: &Offer, provider: &Provider) -> Result<(), Reason> {
    let (settings, code, market) =
        (&asked.function.settings, &asked.revision.code, &asked.markets[offer.market.index()]);
    market.permitted.clone()?;
    let own = provider.account == asked.bid.account;
    let allowed = match &settings.audience {
        Audience::Own => own,
        Audience::Listed(names) => names.contains(&provider.name),
        Audience::Any => true,
    };
    if !allowed || (provider.kind == ProviderKind::Own && !own) {
        return Err(Reason::NotAllowed);
    }
    if !market.by_module && !code.deployments.contains_key(&provider.name) {
        return Err(Reason::NoDeployment);
    }
    let limits = [&asked.bid.limits, &settings.limits];
    if !limits.into_iter().all(|limits| limits.permits(&provider.name)) {
        return Err(Reason::Excluded);
    }
    if asked.bid.tried.contains(&offer.provider) {
        return Err(Reason::AlreadyTried);
    }
    let mut labels = limits.into_iter().flat_map(|limits| &limits.labels);
    match labels.find(|(name, value)| provider.labels.get(name) != Some(value)) {
        Some((name, value)) => Err(Reason::MissingLabel { label: format!("{name}={value}") }),
        None => Ok(()),
    }
}

/// The longest timeout, up to the function's, that the max cost buys on this offer, with its worst case.
fn affordable_timeout(asked: &Asked<'_>, offer: &Offer) -> Result<(u32, Money), Reason> {
    let (code, rung, answer) = (&asked.revision.code, &offer.rung, asked.bid.answer_limit_bytes);
    let worst_of = |ms| rung.tariff.worst_case(code.memory_mb, rung.vcpus_milli, ms, answer);
    let worst = worst_of(code.timeout_ms);
    let Some(max_cost) = asked.max_cost.filter(|max| worst > *max) else {
        return Ok((code.timeout_ms, worst));
    };
    let cut = rung.tariff.longest_within(max_cost, code.memory_mb, rung.vcpus_milli, code.timeout_ms, answer);
    match cut {
        None => Err(Reason::MaxCost { least: worst_of(1), max_cost }),
        Some(_) if !rung.enforces_timeout => Err(Reason::CannotCutTimeout { worst, max_cost }),
        Some(ms) => Ok((ms, worst_of(ms))),
    }
}

/// Wall and CPU time predicted of a provider, in microseconds, and whether that rests on no history of it.
///
/// With history: the revision's median duration x the provider's ratio to it. Without: half the median x how
/// the provider compares in general, so that one call tries it.
fn predict(asked: &Asked<'_>, id: ProviderId, provider: &Provider) -> (u64, u64, bool) {
    let Some((wall, cpu)) = asked.median else {
        return (UNKNOWN_US, UNKNOWN_US, false);
    };
    match asked.revision.estimates.get(&id) {
        Some(estimate) => {
            let wall_us = wall.times(estimate.wall.minus(wall)).micros();
            let cpu_us = cpu.times(estimate.cpu.minus(cpu)).micros();
            (wall_us, cpu_us, false)
        }
        None => {
            let prior = |median: LogDuration| median.octave_less().times(provider.general_ratio).micros();
            (prior(wall), prior(cpu), true)
        }
    }
}

impl Candidate {
    /// Least predicted cost, then longest wait, then the older offer.
    fn rank(&self) -> (Money, u64, OfferId) {
        (self.cost, self.place, self.offer)
    }
}

/// The best candidate and the best one of another provider.
#[derive(Default)]
struct TopTwo {
    first: Option<Candidate>,
    second: Option<Candidate>,
    any_with_history: bool,
}

impl TopTwo {
    fn offer(&mut self, candidate: Candidate) {
        self.any_with_history |= !candidate.on_prior;
        let better = |than: &Option<Candidate>| than.is_none_or(|than| candidate.rank() < than.rank());
        if better(&self.first) {
            let beaten = self.first.replace(candidate);
            if let Some(beaten) = beaten.filter(|beaten| beaten.provider != candidate.provider) {
                self.second = Some(beaten);
            }
        } else if self.first.is_some_and(|first| first.provider != candidate.provider) && better(&self.second) {
            self.second = Some(candidate);
        }
    }

    fn and(mut self, other: TopTwo) -> TopTwo {
        for candidate in other.first.into_iter().chain(other.second) {
            self.offer(candidate);
        }
        self
    }
}
