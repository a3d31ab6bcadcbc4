//! The search for the offer that serves a bid: least predicted cost, then longest wait, without looking at all of them.
//!
//! Few providers are looked at one by one. Of many, those without history are tried in steps that are predicted alike
//! (`newcomers`), those with it fastest first; the rest is walked through in order of price, form by form (`walk`), and
//! the walk stops at the price at which even the fastest of the rest could not be cheap enough. The offers left out are
//! proven not to win: the answer is that of looking at every offer.

mod cohort;
mod lines;
mod newcomers;
mod top_two;
mod walk;

use merit_terms::{MarketId, Money, NoOffer, ProviderId, Reason, Refusal, Time, Usage};

use super::eligibility::capped;
use super::merit_order::Match;
use super::resolved::ResolvedBid;
use crate::Engine;
use crate::command::{Bid, MarketState};
use crate::deadlines::OfferSlot;
use crate::market::within;
use crate::prediction::reference::{Predicted, UNKNOWN};
use crate::supply::health::Behind;
use crate::supply::index::{FORMS_LOOKED_AT, FormTerms};
use crate::supply::ladders::Room;
use cohort::Cohort;
use lines::{Line, cheapest};
use top_two::TopTwo;

/// Providers tried, fastest first, before a walk.
const FASTEST_TRIED: usize = 16;
/// Maximum providers with history that are all tried, fastest first, without a walk.
const ALL_TRIED: usize = 128;
/// Maximum providers looked at for those to try, fastest first.
const LOOKED_AT: usize = 64;
/// Maximum offers without room that are judged for the refusal of a bid.
const CLOSED_LOOKED_AT: usize = 256;

impl Engine {
    /// Finds the offer that serves `bid`, and the next provider's best. Refuses with the nearest miss.
    pub(crate) fn best(&self, bid: &Bid, at: Time) -> Result<Match, Refusal> {
        let mut resolved = self.resolve_now(bid, at)?;
        let found = self.search(&mut resolved);
        // An offer without room lacks room, whether or not its provider is behind.
        resolved.behind = Behind::Allowed;
        found.map_err(|lack| self.lacking(&resolved, lack))
    }

    /// Finds the offer that serves a resting bid, which goes on holding `hold` even if the worst case is less.
    pub(crate) fn best_for_resting(&self, bid: &Bid, at: Time, hold: Money) -> Option<Match> {
        let mut resolved = self.resolve_now(bid, at).ok()?;
        resolved.hold = hold;
        self.search(&mut resolved).ok()
    }

    /// Finds the best two offers, or the nearest miss of those with room. Providers that are behind serve where no
    /// other does.
    fn search(&self, resolved: &mut ResolvedBid<'_>) -> Result<Match, Lack> {
        let (found, met_behind) = self.search_once(resolved);
        if found.is_ok() || !met_behind {
            return found;
        }
        resolved.behind = Behind::Allowed;
        self.search_once(resolved).0
    }

    /// Searches once. Returns also whether an offer was refused because its provider is behind.
    fn search_once(&self, resolved: &ResolvedBid<'_>) -> (Result<Match, Lack>, bool) {
        let mut search = Search::new(self, resolved);
        search.run();
        let (number, runner_up) = (resolved.number, search.top.second);
        let found = search.top.first.map(|winner| Match { revision: number, winner, runner_up }).ok_or(search.lacks);
        (found, search.met_behind)
    }

    /// Returns the refusal of a bid that no offer serves, given the nearest miss among offers with room.
    fn lacking(&self, resolved: &ResolvedBid<'_>, mut lack: Lack) -> Refusal {
        let closed = resolved.function.markets().iter().flat_map(|market| self.shelf.index(*market).closed());
        for slot in closed.take(CLOSED_LOOKED_AT) {
            if lack.class <= NoOffer::Room {
                break;
            }
            if let Some(offer) = self.shelf.offer(*slot)
                && let Err(reason) = self.consider(resolved, *slot, offer)
            {
                lack.add(&reason);
            }
        }
        let until = lack.until.filter(|_| lack.class == NoOffer::Behind);
        let wait_us = until.map(|until| until.micros().saturating_sub(resolved.at.micros()));
        self.no_offer(lack.class, wait_us.map(|wait_us| wait_us.div_ceil(1000)))
    }
}

/// The nearest obstacle so far, and the first time at which a provider that is behind is expected back.
#[derive(Clone, Copy, Debug)]
struct Lack {
    class: NoOffer,
    until: Option<Time>,
}

impl Lack {
    fn add(&mut self, reason: &Reason) {
        self.class = self.class.min(reason.class());
        self.until = self.until.into_iter().chain(reason.behind_until()).min();
    }
}

/// The deployment by which a bid may be served in a market.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Permitted {
    No,
    ByModule,
    ByName,
}

/// One search: the bid, the bounds found so far, and the best two candidates.
struct Search<'a> {
    engine: &'a Engine,
    resolved: &'a ResolvedBid<'a>,
    /// Markets where the bid may be served, and whether a module is enough there.
    markets: Vec<(MarketId, bool)>,
    /// Deployment by market.
    permitted: Vec<Permitted>,
    /// Cheapest rate of each form with room, once it is asked for.
    cheapest: Vec<(&'a FormTerms, u64)>,
    top: TopTwo,
    /// True if a provider with history can serve, as far as was looked.
    learned_serves: bool,
    /// Nearest miss of the offers looked at.
    lacks: Lack,
    /// True if an offer was refused because its provider is behind.
    met_behind: bool,
    /// Rate from which on the funds do not cover market providers' offers of the form being walked.
    unaffordable_from: Option<u64>,
}

impl<'a> Search<'a> {
    fn new(engine: &'a Engine, resolved: &'a ResolvedBid<'a>) -> Search<'a> {
        let (bid, own) = (&resolved.bid.limits.markets, &resolved.function.settings.limits.markets);
        let markets = resolved.function.markets().iter().filter_map(|id| {
            let (market, index) = (engine.registry.market(*id), engine.shelf.index(*id));
            let open = market.terms.state == MarketState::Open && index.live() > 0;
            let open = open && !resolved.max_price.is_some_and(|most| index.is_dearer_than(most));
            let asked_for = open && within(bid, &market.name) && within(own, &market.name);
            asked_for.then_some((*id, resolved.has_module() && market.by_module()))
        });
        let markets: Vec<(MarketId, bool)> = markets.collect();
        let mut permitted = vec![Permitted::No; engine.registry.markets().len()];
        for (market, by_module) in &markets {
            permitted[market.index()] = if *by_module { Permitted::ByModule } else { Permitted::ByName };
        }
        Search {
            engine,
            resolved,
            markets,
            permitted,
            cheapest: Vec::new(),
            top: TopTwo::default(),
            learned_serves: false,
            lacks: Lack { class: NoOffer::Eligible, until: None },
            met_behind: false,
            unaffordable_from: None,
        }
    }

    fn run(&mut self) {
        if self.markets.is_empty() {
            return;
        }
        let Some(reference) = self.resolved.reference else {
            return self.look(Cohort::All, UNKNOWN);
        };
        self.try_newcomers(&reference);
        self.try_learned();
        if !self.learned_serves {
            self.try_probed();
        }
    }

    /// Tries providers with history, fastest first, as long as they can be cheap enough.
    fn try_learned(&mut self) {
        let learned = self.resolved.revision.learned();
        let fastest = learned.fastest();
        let (mut tried, mut last) = (0, None);
        for (looked_at, (wall_us, provider)) in fastest.iter().enumerate() {
            let least = learned.at_least(*wall_us);
            if last.replace(least) != Some(least) && self.is_too_slow(least) {
                return;
            }
            if looked_at == 0 {
                self.try_who_served_last();
            }
            if fastest.len() > ALL_TRIED && (tried == FASTEST_TRIED || looked_at == LOOKED_AT) {
                return self.look(Cohort::Learned, least);
            }
            tried += usize::from(self.try_provider(ProviderId::new(*provider)));
        }
    }

    /// Tries provider and runner-up of the last call, which bound the rest of the search.
    fn try_who_served_last(&mut self) {
        for provider in self.resolved.revision.served_last() {
            if self.is(Cohort::Learned, provider) {
                self.try_provider(provider);
            }
        }
    }

    /// Tries newcomers that a call is trying already, only where no provider with history can serve.
    fn try_probed(&mut self) {
        let without = self.top;
        for provider in self.resolved.revision.probed() {
            if !self.is(Cohort::Learned, provider) {
                self.try_provider(provider);
            }
        }
        if self.top != without && self.can_any_learned_serve() {
            self.top = without;
        }
    }

    fn can_any_learned_serve(&self) -> bool {
        let (engine, resolved) = (self.engine, self.resolved);
        let mut learned = resolved.revision.learned().fastest().iter().map(|(_, provider)| ProviderId::new(*provider));
        learned.any(|provider| {
            let permitted = self.permits(provider);
            engine.shelf.seller(provider).ladders().all().iter().any(|step| {
                let offer = engine.shelf.offer(step.slot).filter(|_| self.may_serve(step.market, permitted));
                offer.is_some_and(|offer| engine.consider(resolved, step.slot, offer).is_ok())
            })
        })
    }

    /// Returns whether no provider of at least this duration can be among the best two, not even at the cheapest rates.
    fn is_too_slow(&mut self, least: Predicted) -> bool {
        let Some(bound) = self.bound() else { return false };
        if self.cheapest.is_empty() {
            self.cheapest = cheapest(self.engine, &self.markets, FORMS_LOOKED_AT + 1);
        }
        let above = |(terms, rate): &(&FormTerms, u64)| self.line(terms, &least).is_above(*rate, bound);
        self.cheapest.len() <= FORMS_LOOKED_AT && self.cheapest.iter().all(above)
    }

    /// Returns the cost above which an offer changes nothing. None: there is none, or the max cost may cut what calls
    /// cost.
    fn bound(&self) -> Option<Money> {
        self.top.bound().filter(|_| !self.resolved.has_max_cost())
    }

    /// Judges every offer of one provider that may be among the best. Returns whether the provider is permitted at all.
    fn try_provider(&mut self, provider: ProviderId) -> bool {
        let permitted = self.permits(provider);
        if permitted == (false, false) {
            return false;
        }
        let engine = self.engine;
        let predicted = engine.predict(self.resolved, provider);
        let mut alike: Option<(&FormTerms, Line)> = None;
        let mut own: Option<Money> = None;
        let ladders = engine.shelf.seller(provider).ladders();
        for front in ladders.fronts() {
            if !self.may_serve(front.market, permitted) {
                continue;
            }
            let terms = engine.shelf.index(front.market).terms(front.form);
            let line = match &alike {
                Some((known, line)) if *known == terms => *line,
                _ => self.line(terms, &predicted),
            };
            alike = Some((terms, line));
            let is_too_dear = |search: &Search<'_>, own: Option<Money>, rate| {
                search.bound().into_iter().chain(own).min().is_some_and(|bound| line.is_above(rate, bound))
            };
            if is_too_dear(self, own, front.rate) {
                continue;
            }
            for step in ladders.of(front.market) {
                if is_too_dear(self, own, step.rate) {
                    break;
                }
                if step.form == front.form && step.room == Room::Open {
                    let cost = self.judge(step.slot);
                    own = own.into_iter().chain(cost).min().filter(|_| !self.resolved.has_max_cost());
                }
            }
        }
        true
    }

    /// Returns whether a provider that is permitted by module or by name may serve in a market.
    fn may_serve(&self, market: MarketId, (by_module, by_name): (bool, bool)) -> bool {
        match self.permitted.get(market.index()) {
            Some(Permitted::ByModule) => by_module,
            Some(Permitted::ByName) => by_name,
            Some(Permitted::No) | None => false,
        }
    }

    /// Returns whether a provider is permitted where a module is enough, and where it is not.
    fn permits(&self, provider: ProviderId) -> (bool, bool) {
        (self.resolved.permits(provider, true), self.resolved.permits(provider, false))
    }

    /// Returns the usage that a predicted call is billed for.
    fn billed(&self, predicted: &Predicted) -> Usage {
        capped(&predicted.usage, self.resolved.revision.code.timeout_ms, self.resolved.bid.answer_limit_bytes)
    }

    /// Returns the least cost of an answer at offers of a form, given at least this prediction.
    fn line(&self, terms: &FormTerms, predicted: &Predicted) -> Line {
        let line = Line::of(terms, self.resolved.revision.code.memory_mb, &self.billed(predicted));
        line.times_64ths(predicted.least_64ths())
    }

    /// Looks for the best of a cohort, of which none is predicted to take less than `least`.
    fn look(&mut self, cohort: Cohort, least: Predicted) {
        if let Some(few) = self.few(cohort) {
            for provider in few {
                if self.is(cohort, provider) {
                    self.try_provider(provider);
                }
            }
            return;
        }
        for i in 0..self.markets.len() {
            let (market, by_module) = self.markets[i];
            for (number, form) in self.engine.shelf.index(market).forms() {
                self.walk(&walk::Walked { market, number, form, cohort, by_module }, least);
            }
        }
    }

    /// Judges one offer. Returns its cost, if it may serve the bid.
    fn judge(&mut self, slot: OfferSlot) -> Option<Money> {
        let offer = self.engine.shelf.offer(slot)?;
        match self.engine.consider(self.resolved, slot, offer) {
            Ok(candidate) => {
                self.learned_serves |= !candidate.on_prior();
                self.top.offer(candidate);
                Some(candidate.cost_of_answer)
            }
            Err(reason) => {
                // A dearer offer's call may be cut to less.
                if matches!(reason, Reason::InsufficientFunds { .. }) && !self.resolved.has_max_cost() {
                    self.unaffordable_from.get_or_insert(offer.tariff.per_gb_second.picodollars());
                }
                self.met_behind |= reason.is_behind();
                self.lacks.add(&reason);
                None
            }
        }
    }
}
