//! Supply: the offers of all providers, and the capacity behind them.
//!
//! free = min(offer's capacity - leased on it, pool - all leases of the pool), never below 0, so that the same memory
//! listed in several markets and rungs is sold once. Owns the shelf: offers, pools, ladders, quotas and health of the
//! sellers, and the index of each market. Never ranks and never moves money.

mod capacity;
mod failures;
mod fronts;
pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod ladders;
pub(crate) mod offers;
pub(crate) mod plain_book;
pub(crate) mod pools;
pub(crate) mod quotas;
mod quoting;
mod reserves;
mod retiring;
mod sessions;
mod shares;
pub(crate) mod speeds;
mod warming;

use merit_terms::{MarketId, Price, ProviderId};
use serde::{Deserialize, Serialize};

use crate::command::ProviderKind;
use crate::deadlines::OfferSlot;
use crate::event::{Event, OfferChange};
use crate::market::visibility::offer_is_public;
use crate::prediction::estimate::Ratio;
use crate::turn::Turn;
use health::{Pauses, ProviderHealth};
use index::Index;
use ladders::Ladders;
use offers::Offer;
use pools::{Pool, PoolSlot};
use quotas::Allowance;
use speeds::Speeds;

/// The supply of one provider.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seller {
    /// Its pools, in the order of its logon.
    pools: Vec<PoolSlot>,
    ladders: Ladders,
    quotas: Vec<Allowance>,
    health: ProviderHealth,
    /// True if two accounts had leases within the hour, as of the last lease that began or ended.
    shared: bool,
    /// Kind of its provider, which decides who may see its offers.
    #[serde(skip)]
    kind: ProviderKind,
}

/// The supply of all providers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shelf {
    offers: Vec<Option<Offer>>,
    free_slots: Vec<OfferSlot>,
    pools: Vec<Pool>,
    /// By provider.
    sellers: Vec<Seller>,
    /// Number of the offer posted last; 0 before the first.
    last_offer: u64,
    /// By market.
    #[serde(skip)]
    markets: Vec<Index>,
    #[serde(skip)]
    speeds: Speeds,
    #[serde(skip)]
    pauses: Pauses,
    /// True if bids rest that more supply may serve.
    #[serde(skip)]
    watched: bool,
    /// Markets and prices with more supply since the last [`Shelf::take_woken`].
    #[serde(skip)]
    woken: Vec<(MarketId, Price)>,
}

impl Seller {
    pub(crate) fn ladders(&self) -> &Ladders {
        &self.ladders
    }

    /// Lists its pools, in the order of its logon.
    pub(crate) fn pools<'a>(&self, shelf: &'a Shelf) -> impl Iterator<Item = &'a Pool> {
        self.pools.iter().map(|slot| &shelf.pools[slot.index()])
    }

    pub(crate) fn quotas(&self) -> &[Allowance] {
        &self.quotas
    }

    pub(crate) fn health(&self) -> &ProviderHealth {
        &self.health
    }

    /// Returns whether account shares apply.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }
}

impl Shelf {
    pub(crate) fn add_market(&mut self) {
        self.markets.push(Index::default());
    }

    pub(crate) fn add_seller(&mut self, kind: ProviderKind) {
        self.sellers.push(Seller { kind, ..Seller::default() });
    }

    /// Builds anew what is computed from offers, ladders and health, given the number of markets, and the kind and the
    /// general ratio of each provider.
    pub(crate) fn rebuild(&mut self, markets: usize, providers: impl Iterator<Item = (ProviderKind, Ratio)>) {
        self.markets = vec![Index::default(); markets];
        for (id, (kind, ratio)) in (0..).map(ProviderId::new).zip(providers) {
            self.sellers[id.index()].kind = kind;
            let mut ladders = std::mem::take(&mut self.sellers[id.index()].ladders);
            for step in ladders.all_mut() {
                step.form = self.adopt(step.slot);
            }
            self.sellers[id.index()].ladders = ladders;
            self.speeds.compare(id, ratio);
            self.arrange_all(id);
            self.pauses.enter(id, &self.sellers[id.index()].health);
        }
    }

    /// Returns the number of the offer posted last; 0 before the first.
    pub(crate) fn last_offer(&self) -> u64 {
        self.last_offer
    }

    /// Lists all offers, live and retired, in no defined order.
    pub(crate) fn offers(&self) -> impl Iterator<Item = &Offer> {
        self.offers.iter().flatten()
    }

    /// Returns the live or retired offer in `slot`. A slot held by a ladder or a lease is always filled.
    pub(crate) fn offer(&self, slot: OfferSlot) -> Option<&Offer> {
        self.offers.get(slot.index())?.as_ref()
    }

    fn offer_mut(&mut self, slot: OfferSlot) -> Option<&mut Offer> {
        self.offers.get_mut(slot.index())?.as_mut()
    }

    /// Lists the live offers, provider by provider.
    pub(crate) fn live_offers(&self) -> impl Iterator<Item = (OfferSlot, &Offer)> {
        let steps = self.sellers.iter().flat_map(|seller| seller.ladders.all());
        steps.filter_map(|step| Some((step.slot, self.offer(step.slot)?)))
    }

    /// Lists the live offers of a provider that is known to exist.
    pub(crate) fn offers_of(&self, provider: ProviderId) -> impl Iterator<Item = &Offer> {
        self.seller(provider).ladders.all().iter().filter_map(|step| self.offer(step.slot))
    }

    /// Lists the live offers of one market, provider by provider.
    pub(crate) fn live_offers_in(&self, market: MarketId) -> impl Iterator<Item = &Offer> {
        let steps = self.sellers.iter().flat_map(move |seller| seller.ladders.of(market));
        steps.filter_map(|step| self.offer(step.slot))
    }

    /// Returns the pool that an offer sells.
    pub(crate) fn pool_of(&self, offer: &Offer) -> &Pool {
        &self.pools[offer.pool.index()]
    }

    /// Lists a provider's pools, in the order of its logon; none of an unknown provider.
    pub(crate) fn pools_of(&self, provider: ProviderId) -> impl Iterator<Item = &Pool> {
        self.sellers.get(provider.index()).into_iter().flat_map(|seller| seller.pools(self))
    }

    /// Returns the slot of a provider's pool by its index.
    pub(crate) fn pool_slot(&self, provider: ProviderId, index: u32) -> Option<PoolSlot> {
        self.sellers[provider.index()].pools.get(index as usize).copied()
    }

    pub(crate) fn sellers(&self) -> &[Seller] {
        &self.sellers
    }

    /// Returns the supply of a provider that is known to exist.
    pub(crate) fn seller(&self, provider: ProviderId) -> &Seller {
        &self.sellers[provider.index()]
    }

    /// Returns the indices by market.
    pub(crate) fn indices(&self) -> &[Index] {
        &self.markets
    }

    /// Returns the index of a market that is known to exist.
    pub(crate) fn index(&self, market: MarketId) -> &Index {
        &self.markets[market.index()]
    }

    pub(crate) fn speeds(&self) -> &Speeds {
        &self.speeds
    }

    /// Sets the general ratio of a provider.
    pub(crate) fn compare(&mut self, provider: ProviderId, ratio: Ratio) {
        self.speeds.compare(provider, ratio);
    }

    pub(crate) fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    /// Returns the memory that one more lease could take now; 0 without a free slot.
    pub(crate) fn free_mb(&self, offer: &Offer) -> u64 {
        offer.free_mb().min(self.pool_of(offer).free_mb())
    }

    /// Returns whether everybody may see an offer.
    pub(crate) fn is_public(&self, offer: &Offer) -> bool {
        offer_is_public(self.seller(offer.provider).kind, offer.audience())
    }

    /// Returns an offer as its book shows it.
    pub(crate) fn change(&self, offer: &Offer) -> OfferChange {
        OfferChange {
            market: offer.market,
            offer: offer.id,
            provider: offer.provider,
            pool: self.pool_of(offer).index(),
            price: offer.price,
            capacity_mb: offer.capacity_mb,
            leased_mb: offer.leased_mb,
            free_mb: self.free_mb(offer),
            tariff: offer.tariff,
            is_public: self.is_public(offer),
            takes_reference_call: offer.takes_reference_call(),
        }
    }

    fn show(&self, turn: &mut Turn<'_>, slot: OfferSlot) {
        if let Some(offer) = self.offer(slot) {
            turn.tell(Event::Offer(self.change(offer)));
        }
    }

    /// Returns whether bids rest that more supply may serve.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched
    }

    pub(crate) fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// Takes out the markets and prices with more supply since the last time.
    pub(crate) fn take_woken(&mut self) -> Vec<(MarketId, Price)> {
        std::mem::take(&mut self.woken)
    }

    /// Notes more supply of every live offer of a pool.
    fn wake_pool(&mut self, pool: PoolSlot) {
        if self.watched {
            self.wake_offers(self.pools[pool.index()].provider(), |offer| offer.pool == pool);
        }
    }

    /// Notes more supply of those of a provider's live offers for which `meant` holds.
    pub(crate) fn wake_offers(&mut self, provider: ProviderId, meant: impl Fn(&Offer) -> bool) {
        let steps = self.sellers[provider.index()].ladders.all().iter();
        let offers = steps.filter_map(|step| self.offers[step.slot.index()].as_ref()).filter(|offer| meant(offer));
        self.woken.extend(offers.map(|offer| (offer.market, offer.price)));
    }
}
