//! Commands about markets.

use merit_terms::{MarketId, MarketName, Refusal};

use crate::Engine;
use crate::command::{MarketState, MarketTerms};
use crate::event::{Event, Resting};
use crate::market::invalid;
use crate::reply::Reply;
use crate::turn::Turn;

impl Engine {
    pub(super) fn create_market(&mut self, turn: &mut Turn<'_>, name: &MarketName) -> Result<Reply, Refusal> {
        let market = self.registry.create_market(name)?;
        self.shelf.add_market();
        turn.tell(Event::MarketCreated { market, name: name.clone() });
        Ok(Reply::Market(market))
    }

    pub(super) fn set_market(
        &mut self,
        turn: &mut Turn<'_>,
        market: MarketId,
        terms: MarketTerms,
    ) -> Result<Reply, Refusal> {
        self.registry.live_market(market)?;
        if let Some((low, high)) = terms.bands.filter(|(low, high)| low > high) {
            return Err(invalid("bands", format!("{low} is above {high}")));
        }
        self.registry.market_mut(market).set_terms(terms);
        turn.tell(Event::MarketChanged { market, terms });
        if terms.state == MarketState::Open {
            self.wake_markets([market]);
        }
        Ok(Reply::Done)
    }

    /// Deletes a market in which nobody sells, not even by a lease, and that is no resting bid's last.
    pub(super) fn delete_market(&mut self, turn: &mut Turn<'_>, market: MarketId) -> Result<Reply, Refusal> {
        let name = self.registry.live_market(market)?.name.clone();
        let sells = self.shelf.offers().any(|offer| offer.market == market);
        if sells || self.bids.all().any(|resting| self.is_last_market(resting, market)) {
            let what = if sells { "offers or running calls" } else { "deferred bids that can be matched nowhere else" };
            return Err(invalid("market", format!("{name} has {what}; it can be deleted when they are gone")));
        }
        self.registry.delete_market(market);
        turn.tell(Event::MarketDeleted { market });
        Ok(Reply::Done)
    }

    /// Returns whether a resting bid can be matched in this market and in no other.
    fn is_last_market(&self, resting: &Resting, market: MarketId) -> bool {
        // Those of the function as it is now, without deleted ones.
        let allowed = self.registry.function(resting.deferred.bid.function).markets();
        resting.markets.iter().filter(|listed| allowed.contains(listed)).eq([&market])
    }
}
