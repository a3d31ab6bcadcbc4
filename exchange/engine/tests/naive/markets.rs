//! Markets and their terms, set by the operator.

use merit_engine::{Event, MarketState, MarketTerms, Reply};
use merit_terms::{MarketId, MarketName, Price, Refusal};

use super::{Twin, invalid, unknown};

#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(crate) name: MarketName,
    pub(crate) last_price: Option<Price>,
    pub(crate) trades: u64,
    pub(crate) terms: MarketTerms,
    pub(crate) deleted: bool,
}

impl Market {
    /// Returns whether the price is outside the bands; price 0 is exempt.
    pub(super) fn is_outside_bands(&self, price: Price) -> bool {
        let outside = |(low, high): (Price, Price)| price < low || price > high;
        price > Price::ZERO && self.terms.bands.is_some_and(outside)
    }
}

impl Twin {
    pub(super) fn every_market(&self) -> impl Iterator<Item = MarketId> + use<> {
        (0..self.markets.len() as u32).map(MarketId::new)
    }

    pub(super) fn create_market(&mut self, name: &MarketName) -> Result<Reply, Refusal> {
        if self.markets.iter().any(|market| market.name == *name && !market.deleted) {
            return Err(Refusal::Exists { what: "market", name: name.to_string() });
        }
        let (name, terms) = (name.clone(), MarketTerms::default());
        self.markets.push(Market { name, last_price: None, trades: 0, terms, deleted: false });
        Ok(Reply::Market(MarketId::new(self.markets.len() as u32 - 1)))
    }

    pub(super) fn set_market(&mut self, id: MarketId, terms: MarketTerms) -> Result<(), Refusal> {
        let market = self.markets.get_mut(id.index()).filter(|market| !market.deleted);
        let market = market.ok_or_else(|| unknown("market", id.number()))?;
        if terms.bands.is_some_and(|(low, high)| low > high) {
            return Err(invalid("bands"));
        }
        market.terms = terms;
        self.events.push(Event::MarketChanged { market: id, terms });
        if terms.state == MarketState::Open {
            self.trigger(id, Price::ZERO);
        }
        Ok(())
    }

    pub(super) fn delete_market(&mut self, id: MarketId) -> Result<(), Refusal> {
        let is_live = |id: MarketId| self.markets.get(id.index()).is_some_and(|market| !market.deleted);
        if !is_live(id) {
            return Err(unknown("market", id.number()));
        }
        let sells = self.offers.iter().any(|offer| offer.market == id);
        let runs = self.leases.iter().any(|open| open.has_capacity && open.lease.market == id);
        let rests = self.resting.iter().any(|rested| {
            let patterns = &self.functions[rested.resting.deferred.bid.function.index()].settings.markets;
            let is_allowed = |market: MarketId| {
                let name = &self.markets[market.index()].name;
                patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
            };
            rested.resting.markets.iter().filter(|market| is_live(**market) && is_allowed(**market)).eq([&id])
        });
        if sells || runs || rests {
            return Err(invalid("market"));
        }
        self.markets[id.index()].deleted = true;
        self.events.push(Event::MarketDeleted { market: id });
        Ok(())
    }
}
