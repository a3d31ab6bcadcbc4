//! A plain book: offers at a price, in order of price and time, without accounts, predictions and events.
//!
//! The list that the index of a market is made of, by itself: public only for the bench that measures it beside other
//! order books.

use crate::collections::ranks::Ranks;

/// Price, number and handle of an offer.
type PlainOffer = (u64, u64, u32);

/// Offers of one kind, cheapest first, then oldest.
#[derive(Clone, Debug, Default)]
pub struct PlainBook {
    ranks: Ranks<PlainOffer>,
    offers: Vec<Option<(PlainOffer, u64)>>,
    vacant: Vec<u32>,
    added: u64,
}

impl PlainBook {
    /// Adds an offer. Returns the handle that cancels it.
    pub fn add(&mut self, price: u64, quantity: u64) -> u32 {
        self.added += 1;
        let slot = self.vacant.pop().unwrap_or(self.offers.len() as u32);
        let entry = (price, self.added, slot);
        match self.offers.get_mut(slot as usize) {
            Some(vacant) => *vacant = Some((entry, quantity)),
            None => self.offers.push(Some((entry, quantity))),
        }
        self.ranks.insert(entry);
        slot
    }

    /// Takes an offer out. Returns false if it is not there.
    pub fn cancel(&mut self, handle: u32) -> bool {
        let Some((entry, _)) = self.offers.get_mut(handle as usize).and_then(Option::take) else { return false };
        self.vacant.push(handle);
        self.ranks.remove(entry)
    }

    /// Buys `quantity`, cheapest first, then oldest. Adds the handles of offers used up, and returns the quantity that
    /// was not there.
    pub fn take(&mut self, mut quantity: u64, used_up: &mut Vec<u32>) -> u64 {
        while quantity > 0
            && let Some((_, _, handle)) = self.ranks.first().copied()
        {
            let Some((_, left)) = &mut self.offers[handle as usize] else { break };
            let bought = quantity.min(*left);
            *left -= bought;
            quantity -= bought;
            if *left == 0 {
                self.cancel(handle);
                used_up.push(handle);
            }
        }
        quantity
    }
}
