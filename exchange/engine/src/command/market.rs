//! The operator's terms of a market.

use merit_terms::Price;
use serde::{Deserialize, Serialize};

/// The state of trading in a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarketState {
    #[default]
    Open,
    /// Offers can only be taken away; nothing matches.
    CancelOnly,
    /// Offers can be quoted and taken away; nothing matches.
    Halted,
}

impl MarketState {
    pub const ALL: [MarketState; 3] = [MarketState::Open, MarketState::CancelOnly, MarketState::Halted];

    pub const fn as_str(self) -> &'static str {
        match self {
            MarketState::Open => "open",
            MarketState::CancelOnly => "cancel_only",
            MarketState::Halted => "halted",
        }
    }
}

/// The operator's terms of a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketTerms {
    pub state: MarketState,
    /// Static price bands: the least and the greatest reference price of an offer, both included. Offers outside are
    /// neither taken nor matched. A price of 0 is exempt: it is a free tier's.
    pub bands: Option<(Price, Price)>,
    /// True if an account may buy from its own market provider.
    pub self_dealing: bool,
}

impl MarketTerms {
    /// Returns the bands, if this price is outside of them.
    pub(crate) fn bands_without(&self, price: Price) -> Option<(Price, Price)> {
        self.bands.filter(|(low, high)| price > Price::ZERO && !(*low..=*high).contains(&price))
    }
}
