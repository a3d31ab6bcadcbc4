//! One market: its name, its terms, and the price of its latest trade.

use merit_terms::{MarketName, Price};
use serde::{Deserialize, Serialize};

use crate::command::MarketTerms;

/// The market class in which a module is deployed at every provider that its function allows.
const MODULE_CLASS: &str = "wasm";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Market {
    pub name: MarketName,
    /// Last price: the reference price of the latest public trade with a cost above 0 between two accounts.
    pub last_price: Option<Price>,
    /// Number of public trades.
    pub trades: u64,
    pub terms: MarketTerms,
    /// A deleted market has no offers and no name to be found by; its trades keep its number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleted: bool,
    by_module: bool,
}

impl Market {
    pub(super) fn new(name: &MarketName) -> Market {
        Market {
            name: name.clone(),
            last_price: None,
            trades: 0,
            terms: MarketTerms::default(),
            deleted: false,
            by_module: name.class() == MODULE_CLASS,
        }
    }

    /// Returns whether a module is deployed here at every provider that its function allows.
    pub(crate) fn by_module(&self) -> bool {
        self.by_module
    }

    pub(crate) fn set_terms(&mut self, terms: MarketTerms) {
        self.terms = terms;
    }

    /// Counts a public trade, at the price that it makes if it makes one.
    pub(crate) fn trade(&mut self, price: Option<Price>) {
        self.trades += 1;
        self.last_price = price.or(self.last_price);
    }
}
