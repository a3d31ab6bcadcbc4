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
        if self.markets.iter().any(|market| market.name == *name) {
            return Err(Refusal::Exists { what: "market", name: name.to_string() });
        }
        self.markets.push(Market { name: name.clone(), last_price: None, trades: 0, terms: MarketTerms::default() });
        Ok(Reply::Market(MarketId::new(self.markets.len() as u32 - 1)))
    }

    pub(super) fn set_market(&mut self, id: MarketId, terms: MarketTerms) -> Result<(), Refusal> {
        let market = self.markets.get_mut(id.index()).ok_or_else(|| unknown("market", id.number()))?;
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
}
