//! The ladders of one market with room, by form and price: what a search walks through.
//!
//! A form is all of an offer's terms but its rate per GB-s. Among offers of one form, and for one prediction, the cost of a
//! call grows with the rate: so each form keeps its ladders in order of their cheapest rate, and a search stops at the first
//! that cannot be cheap enough. Owns this order; everything in it can be computed from the offers.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use merit_terms::{Price, ProviderId, Tariff};

use crate::collections::ranks::Ranks;
use crate::supply::{Offer, OfferSlot};

/// Among more forms than that the cheapest rates are not looked at one by one.
pub(crate) const FORMS_LOOKED_AT: usize = 8;

/// The rungs of one ladder and form: what orders them, and what a search looks at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The cheapest rate per GB-s, in picodollars.
    pub(crate) rate: u64,
    /// The earliest place.
    pub(crate) place: u64,
    pub(crate) provider: ProviderId,
    /// The dearest rate.
    pub(crate) dearest: u64,
}

/// The terms that offers of one form share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FormTerms {
    /// With a rate of 0 per GB-s.
    pub(crate) tariff: Tariff,
    pub(crate) vcpus_milli: u32,
    pub(crate) memory_min_mb: u32,
    pub(crate) memory_max_mb: u32,
    pub(crate) longest_ms: u32,
    pub(crate) enforces_timeout: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) terms: FormTerms,
    /// The front of each ladder with room.
    pub(crate) ranks: Ranks<Entry>,
    /// Live offers of this form, with room or without.
    offers: u32,
    /// At least the dearest rate of any of them.
    pub(crate) dearest: u64,
}

/// The offers of a market.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    forms: Vec<Form>,
    by_terms: HashMap<FormTerms, u32, BuildHasherDefault<Mixer>>,
    /// Forms without offers, to be used again.
    vacant: Vec<u32>,
    /// How many forms have each price of a request.
    per_request: BTreeMap<Price, u32>,
    /// Live offers without room for any call.
    closed: Vec<OfferSlot>,
    pub(crate) live: u32,
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

impl Index {
    /// The forms that have offers with room, by number.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (u32, &Form)> {
        (0..).zip(&self.forms).filter(|(_, form)| !form.ranks.is_empty())
    }

    /// Whether it is seen at a glance that nothing with room has a price of at most `most`.
    pub(crate) fn is_dearer_than(&self, most: Price) -> bool {
        let price = |form: &Form, rate| {
            let per_gb_second = Price::from_picodollars(rate);
            Tariff { per_gb_second, ..form.terms.tariff }.reference_price()
        };
        let mut fronts = self.forms().filter_map(|(_, form)| Some((form, form.ranks.first()?.rate)));
        self.forms.len() <= FORMS_LOOKED_AT && fronts.all(|(form, rate)| price(form, rate) > most)
    }

    pub(crate) fn closed(&self) -> &[OfferSlot] {
        &self.closed
    }

    /// The form with these terms, made if it is not there.
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

    /// The least that a request costs, whatever it uses.
    pub(crate) fn least_per_request(&self) -> Option<Price> {
        self.per_request.keys().next().copied()
    }

    pub(crate) fn terms(&self, form: u32) -> &FormTerms {
        &self.forms[form as usize].terms
    }

    pub(crate) fn rank(&mut self, form: u32, entry: Entry) {
        let form = &mut self.forms[form as usize];
        form.dearest = form.dearest.max(entry.dearest);
        form.ranks.insert(entry);
    }

    pub(crate) fn unrank(&mut self, form: u32, entry: Entry) {
        self.forms[form as usize].ranks.remove(entry);
    }

    /// Counts one more live offer of the form.
    pub(crate) fn adopt(&mut self, form: u32) {
        self.forms[form as usize].offers += 1;
    }

    /// Counts one less; a form without any is forgotten.
    pub(crate) fn orphan(&mut self, form: u32) {
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

    /// Adds an offer without room; where it stands.
    pub(crate) fn close(&mut self, slot: OfferSlot) -> u32 {
        self.closed.push(slot);
        (self.closed.len() - 1) as u32
    }

    /// Takes the offer that stands there out; the one that stands there now, if any.
    pub(crate) fn reopen(&mut self, at: u32) -> Option<OfferSlot> {
        self.closed.swap_remove(at as usize);
        self.closed.get(at as usize).copied()
    }
}

/// A hash of some words: of no use against an adversary, who gains nothing here that many forms do not give him.
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
