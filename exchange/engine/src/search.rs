//! The offer that serves a bid: least predicted cost, then longest wait, without looking at all of them.
//!
//! Who may serve is looked at in two ways. Few are looked at one by one. Many are walked through in order of price, form by
//! form, and the walk stops at the price at which even the fastest of those that are left could not be cheap enough; a few
//! of the fastest are tried first, so that the fastest left is not much faster than the best. What the walk leaves out can be
//! proven not to win: the answer is that of looking at every offer.

use merit_terms::{MarketId, Money, NoOffer, Price, ProviderId, Reason, Refusal, Tariff, Time, Usage, VCPUS_MAX_MILLI};

use crate::Engine;
use crate::bits::{Bits, ones};
use crate::book::{Offer, OfferSlot};
use crate::command::{Bid, MarketState, ProviderKind};
use crate::durations::{Predicted, UNKNOWN_US};
use crate::index::{Form, FormTerms};
use crate::matching::{Asked, Best, Candidate};
use crate::ranks::Entry;
use crate::registry::within;

/// So many of the fastest are tried before the walk.
const FASTEST_TRIED: usize = 16;
/// Up to so many with history, all are tried, fastest first, and there is no walk.
const ALL_TRIED: usize = 128;
/// So far down the list of the fastest they are looked for.
const LOOKED_AT: usize = 64;
/// Among more forms than that the cheapest rates are not looked at one by one.
const FORMS_LOOKED_AT: usize = 8;

impl Engine {
    /// The offer that serves `bid`, and the next provider's best; or what the nearest one lacks.
    pub(crate) fn best(&self, bid: &Bid, at: Time) -> Result<Best, Refusal> {
        self.best_of(bid, at, Money::ZERO)
    }

    /// The same for a bid that goes on holding `hold`, should the worst case be less.
    pub(crate) fn best_of(&self, bid: &Bid, at: Time, hold: Money) -> Result<Best, Refusal> {
        let mut asked = self.asked(bid, at)?;
        asked.hold = hold;
        let account = &self.ledger.accounts[bid.account.index()];
        let concurrency = [
            (asked.function.running, asked.function.settings.max_concurrency),
            (account.running, account.limits.max_concurrency),
        ];
        for (running, max_concurrency) in concurrency {
            if let Some(max_concurrency) = max_concurrency.filter(|most| running >= *most) {
                return Err(Refusal::MaxConcurrency { running, max_concurrency });
            }
        }
        let mut search = Search::new(self, &asked);
        search.run();
        match search.top.first {
            Some(winner) => Ok(Best { revision: asked.number, winner, runner_up: search.top.second }),
            None => Err(self.lacking(&asked, search.lacks)),
        }
    }
}

/// Whom a walk looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    All,
    /// Those with history.
    Learned,
    /// Those without, and also those that one call is trying already.
    Newcomers {
        also_probing: bool,
    },
}

/// Whether a bid may be served in a market, and by what deployment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Permitted {
    No,
    ByModule,
    ByName,
}

struct Search<'a> {
    engine: &'a Engine,
    asked: &'a Asked<'a>,
    markets: Vec<(MarketId, bool)>,
    /// The same by market.
    permitted: Vec<Permitted>,
    /// The cheapest rate of each form with room, once it is asked for.
    cheapest: Vec<(&'a FormTerms, u64)>,
    top: TopTwo,
    /// What the offers looked at lack.
    lacks: NoOffer,
    /// The funds are known not to cover dearer offers of market providers of the form being walked.
    unaffordable_from: Option<u64>,
}

impl<'a> Search<'a> {
    fn new(engine: &'a Engine, asked: &'a Asked<'a>) -> Search<'a> {
        let (bid, own) = (&asked.bid.limits.markets, &asked.function.settings.limits.markets);
        let markets = asked.function.markets.iter().filter_map(|id| {
            let market = &engine.registry.markets[id.index()];
            let open = market.terms.state == MarketState::Open && engine.shelf.markets[id.index()].live > 0;
            let asked_for = open && within(bid, &market.name) && within(own, &market.name);
            asked_for.then_some((*id, asked.has_module() && market.by_module))
        });
        let markets: Vec<(MarketId, bool)> = markets.collect();
        let mut permitted = vec![Permitted::No; engine.registry.markets.len()];
        for (market, by_module) in &markets {
            permitted[market.index()] = if *by_module { Permitted::ByModule } else { Permitted::ByName };
        }
        Search {
            engine,
            asked,
            markets,
            permitted,
            cheapest: Vec::new(),
            top: TopTwo::default(),
            lacks: NoOffer::Eligible,
            unaffordable_from: None,
        }
    }

    fn run(&mut self) {
        let Some(reference) = self.asked.reference else {
            let unknown = Predicted { wall_us: UNKNOWN_US, cpu_us: UNKNOWN_US, cold_us: 0, on_prior: false };
            return self.look(Who::All, unknown);
        };
        let durations = &self.asked.revision.durations;
        // Who served the last call bounds what is worth a look.
        for provider in self.asked.revision.served_last.iter().flatten() {
            if self.is(Who::Learned, *provider) {
                self.try_provider(*provider);
            }
        }
        let at_least = |wall_us| Predicted { wall_us, cpu_us: 0, cold_us: 0, on_prior: false };
        let fastest = durations.fastest().iter();
        let fastest = fastest.map(|(wall, provider)| (*provider, at_least(reference.wall_of(*wall).micros())));
        let most = if durations.fastest().len() <= ALL_TRIED { ALL_TRIED } else { FASTEST_TRIED };
        if let Some(next) = self.try_fastest(Who::Learned, fastest, most) {
            self.look(Who::Learned, next);
        }
        // A newcomer under trial is asked again only where nobody with history can serve.
        let who = Who::Newcomers { also_probing: self.top.first.is_none() };
        if durations.learned().count() as usize == self.engine.registry.providers.len() {
            return;
        }
        let general = self.engine.registry.by_general.iter();
        let general = general.map(|(ratio, provider)| (*provider, at_least(reference.prior(*ratio).wall_us)));
        if let Some(next) = self.try_fastest(who, general, FASTEST_TRIED) {
            self.look(who, next);
        }
    }

    /// Tries the fastest of a kind, at most so many, all that are faster than the first that is not tried; the least that the
    /// rest take, unless none of them can be cheap enough.
    fn try_fastest(
        &mut self,
        who: Who,
        fastest: impl Iterator<Item = (u32, Predicted)> + Clone,
        most: usize,
    ) -> Option<Predicted> {
        let next = self.beyond_the_fastest(who, fastest.clone(), most);
        let mut last = None;
        for (provider, least) in fastest {
            if last.replace(least) != Some(least) && self.is_too_slow(least) {
                return None;
            }
            if next.is_some_and(|next| least.wall_us >= next.wall_us) {
                break;
            }
            if self.is(who, ProviderId::new(provider)) {
                self.try_provider(ProviderId::new(provider));
            }
        }
        next
    }

    /// What the first of a kind takes behind the fastest of it; none, if all are among them.
    fn beyond_the_fastest(
        &self,
        who: Who,
        fastest: impl Iterator<Item = (u32, Predicted)>,
        most: usize,
    ) -> Option<Predicted> {
        let mut counted = 0;
        for (looked_at, (provider, least)) in fastest.enumerate() {
            if counted == most || looked_at == most.max(LOOKED_AT) {
                return Some(least);
            }
            counted += usize::from(self.is(who, ProviderId::new(provider)));
        }
        None
    }

    /// Whether nobody who takes at least that can be among the best two, not even at the cheapest rates there are.
    fn is_too_slow(&mut self, least: Predicted) -> bool {
        let Some(bound) = self.top.bound().filter(|_| !self.asked.has_max_cost()) else { return false };
        if self.cheapest.is_empty() {
            self.cheapest = cheapest(self.engine, &self.markets);
        }
        let usage = self.within_timeout(least);
        let memory_mb = self.asked.revision.code.memory_mb;
        let above = |(terms, rate): &(&FormTerms, u64)| Line::of(terms, memory_mb, &usage).is_above(*rate, bound);
        self.cheapest.len() <= FORMS_LOOKED_AT && self.cheapest.iter().all(above)
    }

    /// Looks at every offer of one provider, cheapest rung first in each market: of one form, a dearer rung is of no use where
    /// a cheaper one serves, nor where the cheaper one is too dear.
    fn try_provider(&mut self, provider: ProviderId) {
        let (by_module, by_name) = (self.asked.permits(provider, true), self.asked.permits(provider, false));
        if !by_module && !by_name {
            return;
        }
        let engine = self.engine;
        let usage = self.within_timeout(engine.predict(self.asked, provider));
        let cuts = self.asked.has_max_cost();
        let memory_mb = self.asked.revision.code.memory_mb;
        let mut line: Option<(&FormTerms, Line)> = None;
        let mut enough: Option<(MarketId, u32, u64)> = None;
        for step in engine.registry.providers[provider.index()].ladders.all() {
            let permitted = match self.permitted.get(step.market.index()) {
                Some(Permitted::ByModule) => by_module,
                Some(Permitted::ByName) => by_name,
                Some(Permitted::No) | None => false,
            };
            let past = |(market, form, rate)| (step.market, step.form) == (market, form) && step.rate > rate;
            if !permitted || enough.is_some_and(past) {
                continue;
            }
            if let Some(bound) = self.top.bound().filter(|_| !cuts) {
                let terms = engine.shelf.markets[step.market.index()].terms(step.form);
                let line = match &mut line {
                    Some((known, line)) if *known == terms => line,
                    other => &mut other.insert((terms, Line::of(terms, memory_mb, &usage))).1,
                };
                if line.is_above(step.rate, bound) {
                    enough = Some((step.market, step.form, step.rate));
                    continue;
                }
            }
            if let Some(offer) = engine.shelf.offer(step.slot)
                && self.judge(step.slot, offer).is_some()
                && !cuts
            {
                enough = Some((step.market, step.form, step.rate));
            }
        }
    }

    /// What a call that is predicted so is billed for: no more than its timeout.
    fn within_timeout(&self, predicted: Predicted) -> Usage {
        let Predicted { wall_us, cpu_us, cold_us, .. } = predicted;
        let most_us = u64::from(self.asked.revision.code.timeout_ms) * 1000;
        let wall_us = wall_us.min(most_us);
        Usage { wall_us, cpu_us, cold_us: cold_us.min(most_us - wall_us), egress_bytes: 0 }
    }

    fn is(&self, who: Who, provider: ProviderId) -> bool {
        let revision = self.asked.revision;
        match who {
            Who::All => true,
            Who::Learned => revision.durations.learned().has(provider.index()),
            Who::Newcomers { also_probing } => {
                !revision.durations.learned().has(provider.index())
                    && (also_probing || !revision.probes.contains_key(&provider))
            }
        }
    }

    /// Looks for the best among all of a kind, of which none is predicted to take less than `least`.
    fn look(&mut self, who: Who, least: Predicted) {
        let asked = self.asked;
        if let Some(only) = asked.only() {
            for provider in only {
                if self.is(who, *provider) {
                    self.try_provider(*provider);
                }
            }
            return;
        }
        let offers: u64 =
            self.markets.iter().map(|(market, _)| u64::from(self.engine.shelf.markets[market.index()].live)).sum();
        let few = self.members(who).filter(|few| few.len() as u64 * few.len() as u64 * 16 < offers || few.is_empty());
        if let Some(few) = few {
            for provider in few.into_iter().map(|provider| ProviderId::new(provider as u32)) {
                if self.is(who, provider) {
                    self.try_provider(provider);
                }
            }
            return;
        }
        for i in 0..self.markets.len() {
            let (market, by_module) = self.markets[i];
            for form in self.engine.shelf.markets[market.index()].forms() {
                self.walk(form, who, by_module, least);
            }
        }
    }

    /// Those that the class and the bid's labels allow, if they are few.
    fn members(&self, who: Who) -> Option<Vec<usize>> {
        const FEW: u32 = 96;
        let asked = self.asked;
        let class = if self.markets.iter().any(|(_, by_module)| *by_module) {
            &asked.class.allowed
        } else {
            &asked.class.deployed
        };
        let labels: Vec<&Bits> = asked.labels.iter().copied().flatten().collect();
        if labels.len() < asked.labels.len() {
            return Some(Vec::new());
        }
        let learned = asked.revision.durations.learned();
        if who == Who::All && class.count() > FEW && labels.iter().all(|bits| bits.count() > FEW) {
            return None;
        }
        let mut members = Vec::new();
        for i in 0..class.words() {
            let kind = match who {
                Who::All => u64::MAX,
                Who::Learned => learned.word(i),
                Who::Newcomers { .. } => !learned.word(i),
            };
            let word = labels.iter().fold(class.word(i) & kind, |word, bits| word & bits.word(i));
            if members.len() as u32 + word.count_ones() > FEW {
                return None;
            }
            members.extend(ones(word, i));
        }
        Some(members)
    }

    /// Walks through the offers of a form in order of price, as far as they may be cheap enough.
    fn walk(&mut self, form: &Form, who: Who, by_module: bool, least: Predicted) {
        let code = &self.asked.revision.code;
        let terms = &form.terms;
        if !(terms.memory_min_mb..=terms.memory_max_mb).contains(&code.memory_mb)
            || (code.timeout_ms > terms.longest_ms && !self.asked.has_max_cost())
        {
            return;
        }
        self.unaffordable_from = None;
        let timeout_us = u64::from(code.timeout_ms) * 1000;
        let least = Usage { wall_us: least.wall_us.min(timeout_us), cpu_us: least.cpu_us, ..Usage::default() };
        let line = Line::of(terms, code.memory_mb, &least);
        match self.asked.max_cost() {
            None => self.walk_from(form, who, by_module, &line, 0, u64::MAX),
            Some(max_cost) => {
                // Up to this rate the max cost buys at least the least duration; beyond it, a part of it.
                let bought = Bought::of(terms, code.memory_mb, &least, self.asked.bid.answer_limit_bytes);
                let whole = bought.greatest_rate_within(max_cost);
                self.walk_from(form, who, by_module, &line, 0, whole);
                if whole < u64::MAX {
                    let nothing = Line { fixed: 0, slope: 0 };
                    let from =
                        (whole + 1).max(self.top.bound().map_or(0, |bound| bought.least_rate_below(max_cost, bound)));
                    self.walk_from(form, who, by_module, &nothing, from, u64::MAX);
                }
            }
        }
    }

    fn walk_from(&mut self, form: &Form, who: Who, by_module: bool, line: &Line, from: u64, until: u64) {
        let until = self.asked.max_price().map_or(until, |price| until.min(greatest_rate_at(&form.terms, price)));
        let code = &self.asked.revision.code;
        let mut limit = self.limit(line).min(until);
        let mut alike: Option<(Predicted, Line)> = None;
        let mut entries = form.ranks.from(from);
        while let Some(entry) = entries.next() {
            if entry.rate > limit {
                return;
            }
            if self.ties_are_settled(line, entry) {
                match entry.rate.checked_add(1) {
                    Some(next) => entries = form.ranks.from(next),
                    None => return,
                }
                continue;
            }
            let provider = ProviderId::new(entry.provider);
            if !self.asked.permits(provider, by_module) || !self.is(who, provider) || self.is_unaffordable(entry) {
                continue;
            }
            if who != Who::All
                && let Some(bound) = self.top.bound().filter(|_| !self.asked.has_max_cost())
            {
                // Most are too dear: that is seen without judging them. Many are predicted alike.
                let predicted = self.engine.predict(self.asked, provider);
                let own = match &mut alike {
                    Some((known, line)) if *known == predicted => line,
                    other => {
                        let usage = self.within_timeout(predicted);
                        &mut other.insert((predicted, Line::of(&form.terms, code.memory_mb, &usage))).1
                    }
                };
                if own.is_above(entry.rate, bound) {
                    continue;
                }
            }
            if let Some(offer) = self.engine.shelf.offer(entry.slot)
                && self.judge(entry.slot, offer) == Some(true)
            {
                limit = self.limit(line).min(until);
            }
        }
    }

    /// The greatest rate at which an offer on the line may still be among the best two.
    fn limit(&self, line: &Line) -> u64 {
        self.top.bound().map_or(u64::MAX, |bound| line.greatest_rate_within(bound))
    }

    /// Whether whoever waits behind `entry` at its price can neither be cheaper than the best two nor have waited longer.
    fn ties_are_settled(&self, line: &Line, entry: &Entry) -> bool {
        self.top.second.is_some_and(|second| second.place < entry.place && line.is_at_least(entry.rate, second.cost))
    }

    fn is_unaffordable(&self, entry: &Entry) -> bool {
        let is_market = || self.engine.kind_of(ProviderId::new(entry.provider)) == ProviderKind::Market;
        self.unaffordable_from.is_some_and(|rate| entry.rate >= rate) && is_market()
    }

    /// Judges one offer: if it may serve the bid, whether the best two changed.
    fn judge(&mut self, slot: OfferSlot, offer: &Offer) -> Option<bool> {
        match self.engine.consider(self.asked, slot, offer) {
            Ok(candidate) => Some(self.top.offer(candidate)),
            Err(reason) => {
                if matches!(reason, Reason::InsufficientFunds { .. }) {
                    self.unaffordable_from.get_or_insert(offer.tariff.per_gb_second.picodollars());
                }
                self.lacks = self.lacks.min(reason.class());
                None
            }
        }
    }
}

/// The cheapest rate of each form in these markets.
fn cheapest<'a>(engine: &'a Engine, markets: &[(MarketId, bool)]) -> Vec<(&'a FormTerms, u64)> {
    let mut cheapest: Vec<(&FormTerms, u64)> = Vec::new();
    for form in markets.iter().flat_map(|(market, _)| engine.shelf.markets[market.index()].forms()) {
        let Some(first) = form.ranks.from(0).next() else { continue };
        match cheapest.iter_mut().find(|(terms, _)| **terms == form.terms) {
            Some((_, rate)) => *rate = first.rate.min(*rate),
            None => cheapest.push((&form.terms, first.rate)),
        }
    }
    cheapest
}

/// The least numerator of a cost by the rate per GB-s, for offers of one form.
struct Line {
    fixed: u128,
    slope: u128,
}

impl Line {
    fn of(terms: &FormTerms, memory_mb: u32, usage: &Usage) -> Line {
        Line {
            fixed: terms.tariff.numerator(memory_mb, terms.vcpus_milli, usage),
            slope: terms.tariff.numerator_per_rate(memory_mb, usage),
        }
    }

    /// The greatest rate whose cost is at most `cost`.
    fn greatest_rate_within(&self, cost: Money) -> u64 {
        let most = u128::from(cost.picodollars()) * Tariff::DENOMINATOR;
        match most.checked_sub(self.fixed) {
            None => 0, // no rate is cheap enough; one rate too many is looked at
            Some(_) if self.slope == 0 => u64::MAX,
            Some(rest) => u64::try_from(rest / self.slope).unwrap_or(u64::MAX),
        }
    }

    /// Whether the cost at `rate` is more than `cost`.
    fn is_above(&self, rate: u64, cost: Money) -> bool {
        self.fixed + u128::from(rate) * self.slope > u128::from(cost.picodollars()) * Tariff::DENOMINATOR
    }

    /// Whether the cost at `rate` is at least `cost`.
    fn is_at_least(&self, rate: u64, cost: Money) -> bool {
        let Some(below) = cost.picodollars().checked_sub(1) else { return true };
        self.fixed + u128::from(rate) * self.slope > u128::from(below) * Tariff::DENOMINATOR
    }
}

/// The greatest rate whose reference price is at most `price`.
fn greatest_rate_at(terms: &FormTerms, price: Price) -> u64 {
    let reference = FormTerms { vcpus_milli: VCPUS_MAX_MILLI, ..*terms };
    let line = Line::of(&reference, Tariff::REFERENCE_MEMORY_MB, &Tariff::REFERENCE_USAGE);
    let calls = price.picodollars() / Tariff::REFERENCE_CALLS_PER_GB_SECOND;
    Money::from_picodollars(calls).map_or(u64::MAX, |cost| line.greatest_rate_within(cost))
}

/// What a max cost buys of the least duration, in the worst case.
struct Bought {
    worst: Line,
    /// What is in the worst case and not in the prediction, and what one increment of time adds.
    slack: Line,
}

impl Bought {
    fn of(terms: &FormTerms, memory_mb: u32, least: &Usage, answer_limit_bytes: u64) -> Bought {
        let least_ms = least.wall_us.div_ceil(1000).max(1);
        let cpu_us = least_ms * 1000 * u64::from(terms.vcpus_milli) / 1000;
        let worst = Usage { wall_us: least_ms * 1000, cpu_us, cold_us: 0, egress_bytes: answer_limit_bytes };
        let step_ms = u64::from(terms.tariff.increment_ms.max(terms.tariff.minimum_ms));
        let step = Usage { wall_us: step_ms * 1000, ..Usage::default() };
        Bought {
            worst: Line::of(terms, memory_mb, &worst),
            slack: Line {
                fixed: terms.tariff.numerator(memory_mb, terms.vcpus_milli, &worst),
                slope: terms.tariff.numerator_per_rate(memory_mb, &step),
            },
        }
    }

    fn greatest_rate_within(&self, max_cost: Money) -> u64 {
        self.worst.greatest_rate_within(max_cost)
    }

    /// The least rate at which a duration cut to the max cost may be predicted to cost at most `bound`: the cost of a cut
    /// call is the max cost but for the slack.
    fn least_rate_below(&self, max_cost: Money, bound: Money) -> u64 {
        let least = u128::from(max_cost.saturating_sub(bound).picodollars()) * Tariff::DENOMINATOR;
        match least.checked_sub(self.slack.fixed) {
            None => 0,
            Some(_) if self.slack.slope == 0 => u64::MAX,
            Some(rest) => u64::try_from(rest / self.slack.slope).unwrap_or(u64::MAX),
        }
    }
}

/// The best candidate and the best one of another provider.
#[derive(Default)]
struct TopTwo {
    first: Option<Candidate>,
    second: Option<Candidate>,
}

impl TopTwo {
    /// What costs more than this changes nothing.
    fn bound(&self) -> Option<Money> {
        self.second.map(|second| second.cost)
    }

    /// Takes a candidate in; whether anything changed.
    fn offer(&mut self, candidate: Candidate) -> bool {
        let better = |than: &Option<Candidate>| than.is_none_or(|than| candidate.rank() < than.rank());
        if better(&self.first) {
            let beaten = self.first.replace(candidate);
            if let Some(beaten) = beaten.filter(|beaten| beaten.provider != candidate.provider) {
                self.second = Some(beaten);
            }
            return true;
        }
        let runs_up = self.first.is_some_and(|first| first.provider != candidate.provider) && better(&self.second);
        if runs_up {
            self.second = Some(candidate);
        }
        runs_up
    }
}
