//! The index of one market: the ladders with room, by form and rate, in the order in which a search walks.
//!
//! A form is all of an offer's terms but its rate per GB-s. Among offers of one form, and for one prediction, the cost
//! of a call grows with the rate: each form keeps its ladders in order of their cheapest rate, and a search stops at
//! the first that cannot be cheap enough. Owns this order; everything in it is computed from the offers.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use merit_terms::{Price, ProviderId, Tariff};

use super::offers::Offer;
use crate::collections::ranks::Ranks;
use crate::deadlines::OfferSlot;

/// Maximum forms whose cheapest rates are compared one by one.
pub(crate) const FORMS_LOOKED_AT: usize = 8;

/// The rungs of one ladder and form, as the index ranks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RankedFront {
    /// Cheapest rate per GB-s, in picodollars.
    pub(crate) rate: u64,
    /// Earliest place.
    pub(crate) place: u64,
    pub(crate) provider: ProviderId,
    /// Dearest rate.
    pub(crate) dearest: u64,
}

/// The terms of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FormTerms {
    /// The tariff, with a rate of 0 per GB-s.
    pub(crate) tariff: Tariff,
    pub(crate) vcpus_milli: u32,
    pub(crate) memory_min_mb: u32,
    pub(crate) memory_max_mb: u32,
    pub(crate) longest_ms: u32,
    pub(crate) enforces_timeout: bool,
}

/// The live offers of one form in a market.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    terms: FormTerms,
    /// The front of each ladder with room.
    ranks: Ranks<RankedFront>,
    /// Live offers of this form, with room or without.
    offers: u32,
    /// Upper bound of their rates.
    dearest: u64,
}

/// The live offers of a market.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    forms: Vec<Form>,
    by_terms: HashMap<FormTerms, u32, BuildHasherDefault<Mixer>>,
    /// Forms without offers, to be used again.
    vacant: Vec<u32>,
    /// Forms by price of a request.
    per_request: BTreeMap<Price, u32>,
    /// Live offers without room for any call.
    closed: Vec<OfferSlot>,
    /// Live offers, with room or without.
    live: u32,
}

impl FormTerms {
    pub(crate) fn of(offer: &Offer) -> FormTerms {
        FormTerms {
            tariff: Tariff { per_gb_second: Price::ZERO, ..offer.tariff },
            vcpus_milli: offer.vcpus_milli,
            memory_min_mb: offer.memory_min_mb,
            memory_max_mb: offer.memory_max_mb,
            longest_ms: offer.longest_ms,
            enforces_timeout: offer.enforces_timeout,
        }
    }
}

impl Form {
    pub(crate) fn terms(&self) -> &FormTerms {
        &self.terms
    }

    pub(crate) fn ranks(&self) -> &Ranks<RankedFront> {
        &self.ranks
    }

    /// Returns an upper bound of the rates of its offers.
    pub(crate) fn dearest(&self) -> u64 {
        self.dearest
    }
}

impl Index {
    /// Returns the number of live offers, with room or without.
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// Lists the forms with room, by number.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (u32, &Form)> {
        (0..).zip(&self.forms).filter(|(_, form)| !form.ranks.is_empty())
    }

    /// Returns whether every front is dearer than `most`; false where there are too many forms to tell.
    pub(crate) fn is_dearer_than(&self, most: Price) -> bool {
        let price = |form: &Form, rate| {
            let per_gb_second = Price::from_picodollars(rate);
            Tariff { per_gb_second, ..form.terms.tariff }.reference_price()
        };
        let mut fronts = self.forms().filter_map(|(_, form)| Some((form, form.ranks.first()?.rate)));
        self.forms.len() <= FORMS_LOOKED_AT && fronts.all(|(form, rate)| price(form, rate) > most)
    }

    /// Returns the live offers without room for any call.
    pub(crate) fn closed(&self) -> &[OfferSlot] {
        &self.closed
    }

    /// Returns the form with these terms, and makes it if it is new.
    pub(crate) fn form(&mut self, terms: FormTerms) -> u32 {
        if let Some(form) = self.by_terms.get(&terms) {
            return *form;
        }
        let made = Form { terms, ranks: Ranks::default(), offers: 0, dearest: 0 };
        let form = match self.vacant.pop() {
            Some(form) => {
                self.forms[form as usize] = made;
                form
            }
            None => {
                self.forms.push(made);
                (self.forms.len() - 1) as u32
            }
        };
        self.by_terms.insert(terms, form);
        *self.per_request.entry(terms.tariff.per_request).or_default() += 1;
        form
    }

    /// Returns the least price of a request of any form.
    pub(crate) fn least_per_request(&self) -> Option<Price> {
        self.per_request.keys().next().copied()
    }

    pub(crate) fn terms(&self, form: u32) -> &FormTerms {
        &self.forms[form as usize].terms
    }

    pub(crate) fn rank(&mut self, form: u32, entry: RankedFront) {
        let form = &mut self.forms[form as usize];
        form.dearest = form.dearest.max(entry.dearest);
        form.ranks.insert(entry);
    }

    pub(crate) fn unrank(&mut self, form: u32, entry: RankedFront) {
        self.forms[form as usize].ranks.remove(entry);
    }

    /// Counts one more live offer of the form.
    pub(crate) fn adopt(&mut self, form: u32) {
        self.live += 1;
        self.forms[form as usize].offers += 1;
    }

    /// Counts one live offer of the form less. A form without offers goes.
    pub(crate) fn orphan(&mut self, form: u32) {
        self.live -= 1;
        let known = &mut self.forms[form as usize];
        known.offers -= 1;
        if known.offers == 0 {
            self.by_terms.remove(&known.terms);
            self.vacant.push(form);
            let per_request = known.terms.tariff.per_request;
            if let Some(forms) = self.per_request.get_mut(&per_request) {
                *forms -= 1;
                if *forms == 0 {
                    self.per_request.remove(&per_request);
                }
            }
        }
    }

    /// Adds an offer without room. Returns its position among those.
    pub(crate) fn close(&mut self, slot: OfferSlot) -> u32 {
        self.closed.push(slot);
        (self.closed.len() - 1) as u32
    }

    /// Takes out the offer at a position among those without room. Returns the offer that moved there, if one did.
    pub(crate) fn reopen(&mut self, at: u32) -> Option<OfferSlot> {
        self.closed.swap_remove(at as usize);
        self.closed.get(at as usize).copied()
    }
}

/// A fast hash of some words. An adversary gains nothing by collisions that many forms would not give him.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
