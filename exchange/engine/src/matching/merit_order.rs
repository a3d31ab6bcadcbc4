//! The merit order: every offer for a bid, ranked or refused, as a quote tells it.

use merit_terms::{MarketId, Money, OfferId, Price, ProviderId, Reason, Refusal, Tariff};

use super::resolved::ResolvedBid;
use crate::Engine;
use crate::command::Bid;
use crate::deadlines::OfferSlot;
use crate::market::visibility::{Viewer, Visibility};
use crate::prediction::reference::Source;
use crate::supply::health::Behind;
use crate::supply::offers::Offer;

/// An offer that may serve a bid, with the prediction for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub(crate) slot: OfferSlot,
    pub offer: OfferId,
    pub provider: ProviderId,
    pub market: MarketId,
    pub price: Price,
    pub tariff: Tariff,
    /// Estimated median wall time, in microseconds: what a caller waits.
    pub wall_us: u64,
    pub cold_us: u64,
    /// Billed time of the mean usage.
    pub billed_ms: u64,
    /// The expected bill of a call.
    pub cost: Money,
    /// The expected bill of an answer, by which offers are ranked: more than that of a call where fewer calls succeed
    /// than at the best provider, less at a newcomer where even that one fails often; [`Money::MAX`] where hardly any
    /// succeeds.
    pub cost_of_answer: Money,
    /// Success over that of the best provider of the revision, in percent; 100 within a fifth of it.
    pub success_percent: u32,
    /// Worst case of the cost, which is held.
    pub worst_cost: Money,
    /// Timeout: the function's, or less where the caller's max cost buys less.
    pub timeout_ms: u32,
    pub source: Source,
    pub(super) place: u64,
}

/// An offer that may not serve a bid, and the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub offer: OfferId,
    pub provider: ProviderId,
    pub market: MarketId,
    pub reason: Reason,
    /// True if the account of the bid may see the offer; of others it is told a number.
    pub visible: bool,
}

/// The whole decision on a bid, as [`Engine::quote`] answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct MeritOrder {
    pub revision: u32,
    /// Cheapest first; the first would serve the bid, unless its account is frozen or `max_concurrency` lets it wait.
    pub offers: Vec<Candidate>,
    /// By market, offer by offer.
    pub refused: Vec<Refused>,
}

/// A match: the best offer for a bid, and the best of another provider.
pub(crate) struct Match {
    pub(crate) revision: u32,
    pub(crate) winner: Candidate,
    pub(crate) runner_up: Option<Candidate>,
}

impl Candidate {
    /// Returns whether the provider has no history with the revision.
    pub fn on_prior(&self) -> bool {
        self.source == Source::Prior
    }

    /// Returns its rank: least expected bill of an answer, then longest wait, then the older offer.
    pub(super) fn rank(&self) -> (Money, u64, OfferId) {
        (self.cost_of_answer, self.place, self.offer)
    }
}

impl Engine {
    /// Returns the merit order for `bid` as of the last command, with the reasons of the other offers. Changes nothing.
    pub fn quote(&self, bid: &Bid) -> Result<MeritOrder, Refusal> {
        let mut resolved = self.resolve(bid, self.last_at)?;
        let order = self.merit_order(&resolved);
        if !order.offers.is_empty() || !self.shelf.is_any_behind() {
            return Ok(order);
        }
        resolved.behind = Behind::Allowed;
        Ok(self.merit_order(&resolved))
    }

    fn merit_order(&self, resolved: &ResolvedBid<'_>) -> MeritOrder {
        let (mut offers, mut refused) = (Vec::new(), Vec::new());
        let mut slots: Vec<(OfferSlot, &Offer)> = self.shelf.live_offers().collect();
        slots.sort_unstable_by_key(|(_, offer)| (offer.market, offer.price, offer.id));
        for (slot, offer) in slots {
            match self.consider(resolved, slot, offer) {
                Ok(candidate) => offers.push(candidate),
                Err(reason) => refused.push(Refused {
                    offer: offer.id,
                    provider: offer.provider,
                    market: offer.market,
                    reason,
                    visible: self.visibility_of(offer).admits(Viewer::Account(resolved.bid.account)),
                }),
            }
        }
        if offers.iter().any(|offer| !offer.on_prior()) {
            let probing =
                |candidate: &Candidate| candidate.on_prior() && resolved.revision.is_probing(candidate.provider);
            refused.extend(offers.iter().filter(|candidate| probing(candidate)).map(|candidate| Refused {
                offer: candidate.offer,
                provider: candidate.provider,
                market: candidate.market,
                reason: Reason::Probing,
                visible: true,
            }));
            offers.retain(|candidate| !probing(candidate));
        }
        offers.sort_by_key(Candidate::rank);
        MeritOrder { revision: resolved.number, offers, refused }
    }

    /// Returns who may see an offer.
    pub(crate) fn visibility_of<'a>(&self, offer: &'a Offer) -> Visibility<'a> {
        let provider = self.registry.provider(offer.provider);
        Visibility::of_offer(provider.kind, provider.account, offer.audience())
    }
}
