//! The market as the events tell it: books on both sides, balances, leases, health and sessions.

use std::collections::{BTreeMap, BTreeSet};

use merit_engine::{AtDeadline, Engine, Event, MarketTerms, OfferChange, Resting};
use merit_terms::{AccountId, FunctionId, LeaseId, MarketId, OfferId, ProviderId, Time};

use super::{is_unknown, same_items};

#[derive(Default)]
pub(crate) struct Told {
    offers: BTreeMap<OfferId, OfferChange>,
    /// Free memory of each pool.
    pools: BTreeMap<(ProviderId, u32), u64>,
    balances: BTreeMap<AccountId, i128>,
    /// Open leases without those that ended unknown.
    leases: BTreeSet<LeaseId>,
    bids: BTreeMap<LeaseId, Resting>,
    health: BTreeMap<(ProviderId, Option<(FunctionId, u32)>), Time>,
    online: BTreeSet<ProviderId>,
    markets: BTreeMap<MarketId, MarketTerms>,
}

impl Told {
    pub(crate) fn hear(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.hear_one(event));
    }

    fn hear_one(&mut self, event: &Event) {
        match event {
            Event::Offer(offer) => {
                self.offers.insert(offer.offer, *offer);
            }
            Event::OfferGone { offer, .. } => {
                assert!(self.offers.remove(offer).is_some(), "{offer} was never told of");
            }
            Event::OfferLeased { offer, leased_mb, .. } => {
                self.offers.get_mut(offer).expect("only live offers are told of").leased_mb = *leased_mb;
            }
            Event::Pool { provider, pool, free_mb } => {
                self.pools.insert((*provider, *pool), *free_mb);
            }
            Event::Moved { from, to, amount, .. } => {
                *self.balances.entry(*from).or_default() -= i128::from(amount.picodollars());
                *self.balances.entry(*to).or_default() += i128::from(amount.picodollars());
            }
            Event::Granted(lease) => {
                self.leases.insert(lease.id);
            }
            Event::Settled { lease, .. } | Event::Ended { lease, .. } => {
                self.leases.remove(&lease.id);
            }
            Event::BidRested(resting) => {
                self.bids.insert(resting.id, (**resting).clone());
            }
            Event::BidGone { resting, .. } => {
                self.bids.remove(&resting.id);
            }
            Event::Health { provider, revision, until } if *until == Time::default() => {
                self.health.remove(&(*provider, *revision));
            }
            Event::Health { provider, revision, until } => {
                self.health.insert((*provider, *revision), *until);
            }
            Event::SessionBegan { provider, .. } => {
                self.online.insert(*provider);
            }
            Event::SessionEnded { provider, .. } => {
                self.online.remove(provider);
            }
            Event::MarketChanged { market, terms } => {
                self.markets.insert(*market, *terms);
            }
            Event::MarketDeleted { market } => {
                self.markets.remove(market);
            }
            _ => {}
        }
    }

    pub(crate) fn compare(&self, engine: &Engine) {
        self.compare_books(engine);
        for (id, account) in engine.accounts() {
            let balance = self.balances.get(&id).copied().unwrap_or(0);
            assert_eq!(account.balance.picodollars(), balance, "{id:?} by the events");
        }
        let leases = engine.open_leases().filter(|lease| !is_unknown(lease)).map(|lease| lease.id);
        same_items("leases, and by the events", leases, self.leases.iter().copied());
        let health = engine
            .providers()
            .flat_map(|(id, _)| engine.health(id).into_iter().map(move |back| ((id, back.revision), back.until)));
        let health: BTreeMap<_, _> = health.collect();
        same_items("health, and by the events", health.iter(), self.health.iter());
        for (id, provider) in engine.providers() {
            assert_eq!(provider.online, self.online.contains(&id), "{id:?} by the events");
        }
        for (id, market) in engine.markets() {
            assert_eq!(market.terms, self.markets.get(&id).copied().unwrap_or_default(), "{id:?} by the events");
        }
    }

    fn compare_books(&self, engine: &Engine) {
        let mut live: Vec<OfferChange> = engine.markets().flat_map(|(market, _)| engine.book(market)).collect();
        live.sort_by_key(|offer| offer.offer);
        let offers = self.offers.values().map(|offer| self.with_free(offer));
        same_items("the books, and by the events", live, offers);
        // A bid past its deadline that takes any price is about to go.
        let rests =
            |bid: &&Resting| bid.deferred.deadline > engine.last_at() || bid.deferred.then == AtDeadline::Expire;
        let bids = self.bids.values().filter(rests);
        same_items("bids, and by the events", engine.resting().filter(rests), bids);
    }

    /// Returns the offer with its free memory: the lesser of the free part of its rung and of its pool.
    fn with_free(&self, offer: &OfferChange) -> OfferChange {
        let pool = self.pools.get(&(offer.provider, offer.pool)).copied().unwrap_or(0);
        OfferChange { free_mb: pool.min(offer.capacity_mb.saturating_sub(offer.leased_mb)), ..*offer }
    }
}
