//! The offer that serves a bid: least predicted cost, then longest wait, without looking at all of them.
//!
//! Few are looked at one by one. Of many, those without history are tried in steps that are predicted alike (`newcomers`), those
//! with it fastest first; what is left is walked through in order of price, form by form (`walk`), and the walk stops at the price
//! at which even the fastest of those that are left could not be cheap enough. What is left out can be proven not to win: the
//! answer is that of looking at every offer.

mod lines;
mod newcomers;
mod walk;

use merit_terms::{MarketId, Money, NoOffer, ProviderId, Reason, Refusal, Time, Usage};

use crate::Engine;
use crate::collections::bits::{Bits, ones};
use crate::command::{Bid, MarketState};
use crate::market::within;
use crate::matching::{Asked, Best, Candidate};
use crate::prediction::durations::{Predicted, Reference, UNKNOWN_US};
use crate::supply::OfferSlot;
use crate::supply::index::{FORMS_LOOKED_AT, FormTerms};
use crate::supply::ladders::Room;
use lines::{Line, cheapest};

/// So many of the fastest are tried before a walk.
const FASTEST_TRIED: usize = 16;
/// Up to so many with history, all are tried, fastest first, and there is no walk.
const ALL_TRIED: usize = 128;
/// So far down the list of the fastest they are looked for.
const LOOKED_AT: usize = 64;
/// So many that may serve are looked at one by one.
const FEW: u32 = 96;

impl Engine {
    /// The offer that serves `bid`, and the next provider's best; or what the nearest one lacks.
    pub(crate) fn best(&self, bid: &Bid, at: Time) -> Result<Best, Refusal> {
        let asked = self.asked_now(bid, at)?;
        self.search(&asked).map_err(|lacks| self.lacking(&asked, lacks))
    }

    /// The same for a bid that goes on holding `hold`, should the worst case be less; nobody asks what it lacks.
    pub(crate) fn best_for_resting(&self, bid: &Bid, at: Time, hold: Money) -> Option<Best> {
        let mut asked = self.asked_now(bid, at).ok()?;
        asked.hold = hold;
        self.search(&asked).ok()
    }

    /// What is known of a bid that may run now.
    fn asked_now<'a>(&'a self, bid: &'a Bid, at: Time) -> Result<Asked<'a>, Refusal> {
        let asked = self.asked(bid, at)?;
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
        Ok(asked)
    }

    /// The best two offers; or what those with room lack.
    fn search(&self, asked: &Asked<'_>) -> Result<Best, NoOffer> {
        let mut search = Search::new(self, asked);
        search.run();
        let winner = search.top.first.ok_or(search.lacks)?;
        Ok(Best { revision: asked.number, winner, runner_up: search.top.second })
    }
}

/// Whom a search looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    All,
    /// Those with history.
    Learned,
    /// Those without, whom no call is trying already.
    Newcomers,
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
    /// Whether somebody with history can serve, as far as was looked.
    learned_serves: bool,
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
            let index = &engine.shelf.markets[id.index()];
            let open = market.terms.state == MarketState::Open && index.live > 0;
            let open = open && !asked.max_price().is_some_and(|most| index.is_dearer_than(most));
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
            learned_serves: false,
            lacks: NoOffer::Eligible,
            unaffordable_from: None,
        }
    }

    fn run(&mut self) {
        if self.markets.is_empty() {
            return;
        }
        let Some(reference) = self.asked.reference else {
            let unknown = Predicted { wall_us: UNKNOWN_US, cpu_us: UNKNOWN_US, cold_us: 0, on_prior: false };
            return self.look(Who::All, unknown);
        };
        self.try_newcomers(&reference);
        self.try_learned(&reference);
        if !self.learned_serves {
            self.try_probed();
        }
    }

    /// Tries those with history, fastest first, as long as they can be cheap enough.
    fn try_learned(&mut self, reference: &Reference) {
        let fastest = self.asked.revision.durations.fastest();
        let (mut tried, mut last) = (0, None);
        for (looked_at, (wall, provider)) in fastest.iter().enumerate() {
            let least = at_least(reference.wall_of(*wall).micros());
            if last.replace(least) != Some(least) && self.is_too_slow(least) {
                return;
            }
            if looked_at == 0 {
                self.try_who_served_last();
            }
            if fastest.len() > ALL_TRIED && (tried == FASTEST_TRIED || looked_at == LOOKED_AT) {
                return self.look(Who::Learned, least);
            }
            tried += usize::from(self.try_provider(ProviderId::new(*provider)));
        }
    }

    /// Who served the last call bounds what is worth a look.
    fn try_who_served_last(&mut self) {
        for provider in self.asked.revision.served_last.iter().flatten() {
            if self.is(Who::Learned, *provider) {
                self.try_provider(*provider);
            }
        }
    }

    /// A newcomer that a call is trying already is asked again only where nobody with history can serve.
    fn try_probed(&mut self) {
        let without = self.top;
        for provider in self.asked.revision.probes.keys() {
            if !self.is(Who::Learned, *provider) {
                self.try_provider(*provider);
            }
        }
        if self.top != without && self.can_any_learned_serve() {
            self.top = without;
        }
    }

    fn can_any_learned_serve(&self) -> bool {
        let (engine, asked) = (self.engine, self.asked);
        let mut learned = asked.revision.durations.fastest().iter().map(|(_, provider)| ProviderId::new(*provider));
        learned.any(|provider| {
            let permitted = self.permits(provider);
            engine.shelf.sellers[provider.index()].ladders.all().iter().any(|step| {
                let offer = engine.shelf.offer(step.slot).filter(|_| self.may_serve(step.market, permitted));
                offer.is_some_and(|offer| engine.consider(asked, step.slot, offer).is_ok())
            })
        })
    }

    /// Whether nobody who takes at least that can be among the best two, not even at the cheapest rates there are.
    fn is_too_slow(&mut self, least: Predicted) -> bool {
        let Some(bound) = self.bound() else { return false };
        if self.cheapest.is_empty() {
            self.cheapest = cheapest(self.engine, &self.markets, FORMS_LOOKED_AT + 1);
        }
        let usage = self.within_timeout(least);
        let memory_mb = self.asked.revision.code.memory_mb;
        let above = |(terms, rate): &(&FormTerms, u64)| Line::of(terms, memory_mb, &usage).is_above(*rate, bound);
        self.cheapest.len() <= FORMS_LOOKED_AT && self.cheapest.iter().all(above)
    }

    /// What costs more than this changes nothing; none: all may, or the max cost may cut what calls cost.
    fn bound(&self) -> Option<Money> {
        self.top.bound().filter(|_| !self.asked.has_max_cost())
    }

    /// Looks at every offer of one provider that may be among the best; whether the provider is permitted at all.
    fn try_provider(&mut self, provider: ProviderId) -> bool {
        let permitted = self.permits(provider);
        if permitted == (false, false) {
            return false;
        }
        let engine = self.engine;
        let usage = self.within_timeout(engine.predict(self.asked, provider));
        let memory_mb = self.asked.revision.code.memory_mb;
        let mut alike: Option<(&FormTerms, Line)> = None;
        let mut own: Option<Money> = None;
        let ladders = &engine.shelf.sellers[provider.index()].ladders;
        for front in ladders.fronts() {
            if !self.may_serve(front.market, permitted) {
                continue;
            }
            let terms = engine.shelf.markets[front.market.index()].terms(front.form);
            let line = match &alike {
                Some((known, line)) if *known == terms => *line,
                _ => Line::of(terms, memory_mb, &usage),
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
                    own = own.into_iter().chain(cost).min().filter(|_| !self.asked.has_max_cost());
                }
            }
        }
        true
    }

    /// Whether a provider may serve in a market that is permitted so by module or by name.
    fn may_serve(&self, market: MarketId, (by_module, by_name): (bool, bool)) -> bool {
        match self.permitted.get(market.index()) {
            Some(Permitted::ByModule) => by_module,
            Some(Permitted::ByName) => by_name,
            Some(Permitted::No) | None => false,
        }
    }

    /// Whether a provider is permitted where a module is enough, and where it is not.
    fn permits(&self, provider: ProviderId) -> (bool, bool) {
        (self.asked.permits(provider, true), self.asked.permits(provider, false))
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
        let learned = revision.durations.learned().has(provider.index());
        match who {
            Who::All => true,
            Who::Learned => learned,
            Who::Newcomers => !learned && !revision.probes.contains_key(&provider),
        }
    }

    /// Looks for the best among all of a kind, of which none is predicted to take less than `least`.
    fn look(&mut self, who: Who, least: Predicted) {
        if let Some(few) = self.few(who) {
            for provider in few {
                if self.is(who, provider) {
                    self.try_provider(provider);
                }
            }
            return;
        }
        for i in 0..self.markets.len() {
            let (market, by_module) = self.markets[i];
            for (number, form) in self.engine.shelf.markets[market.index()].forms() {
                self.walk(&walk::Of { market, number, form, who, by_module }, least);
            }
        }
    }

    /// Those of a kind that bid, class and labels allow, if they are few.
    fn few(&self, who: Who) -> Option<Vec<ProviderId>> {
        if let Some(only) = self.asked.only() {
            return Some(only.to_vec());
        }
        let offers: u64 =
            self.markets.iter().map(|(market, _)| u64::from(self.engine.shelf.markets[market.index()].live)).sum();
        let members = self.members(who)?;
        let few = members.len() as u64;
        (few * few * 16 < offers || few == 0).then(|| members.into_iter().map(|i| ProviderId::new(i as u32)).collect())
    }

    /// Those that the class and the bid's labels allow, if they are few.
    fn members(&self, who: Who) -> Option<Vec<usize>> {
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
                Who::Newcomers => !learned.word(i),
            };
            let word = labels.iter().fold(class.word(i) & kind, |word, bits| word & bits.word(i));
            if members.len() as u32 + word.count_ones() > FEW {
                return None;
            }
            members.extend(ones(word, i));
        }
        Some(members)
    }

    /// Judges one offer: its cost, if it may serve the bid.
    fn judge(&mut self, slot: OfferSlot) -> Option<Money> {
        let offer = self.engine.shelf.offer(slot)?;
        match self.engine.consider(self.asked, slot, offer) {
            Ok(candidate) => {
                self.learned_serves |= !candidate.on_prior;
                self.top.offer(candidate);
                Some(candidate.cost)
            }
            Err(reason) => {
                // A dearer offer's call may be cut to less.
                if matches!(reason, Reason::InsufficientFunds { .. }) && !self.asked.has_max_cost() {
                    self.unaffordable_from.get_or_insert(offer.tariff.per_gb_second.picodollars());
                }
                self.lacks = self.lacks.min(reason.class());
                None
            }
        }
    }
}

/// The prediction of which it is known only that it takes at least so long.
fn at_least(wall_us: u64) -> Predicted {
    Predicted { wall_us, cpu_us: 0, cold_us: 0, on_prior: false }
}

/// The best candidate and the best one of another provider.
#[derive(Clone, Copy, Default, PartialEq)]
struct TopTwo {
    first: Option<Candidate>,
    second: Option<Candidate>,
}

impl TopTwo {
    /// What costs more than this changes nothing.
    fn bound(&self) -> Option<Money> {
        self.second.map(|second| second.cost)
    }

    /// Takes a candidate in.
    fn offer(&mut self, candidate: Candidate) {
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
}
