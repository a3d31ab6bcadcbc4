//! Retiring: offers leave their books when they expire, are cancelled, or are quoted no longer.
//!
//! A retired offer sells nothing more, and stays until its last lease is gone.

use merit_terms::ProviderId;

use super::Shelf;
use super::ladders::{Ladders, Step};
use super::offers::Offer;
use crate::deadlines::{Deadline, OfferSlot};
use crate::event::Event;
use crate::turn::Turn;

impl Shelf {
    /// Takes the offer of a rung out of its book; it stays until its leases are gone.
    pub(super) fn retire(&mut self, turn: &mut Turn<'_>, provider: ProviderId, ladders: &mut Ladders, step: &Step) {
        self.orphan(provider, ladders, step);
        let slot = step.slot;
        let Some(offer) = self.offer_mut(slot) else { return };
        offer.retired = true;
        let (leases, id) = (offer.leases, offer.id);
        turn.tell(Event::OfferGone { market: offer.market, offer: id, provider: offer.provider, price: offer.price });
        if let Some(expires) = offer.expires {
            turn.deadlines.remove(expires, Deadline::Offer(id, slot));
        }
        if leases == 0 {
            self.clear(slot);
        }
    }

    /// Empties the slot of an offer that is gone.
    pub(super) fn clear(&mut self, slot: OfferSlot) {
        self.offers[slot.index()] = None;
        self.free_slots.push(slot);
    }

    /// Retires one offer of a ladder, when it expires.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>, slot: OfferSlot) {
        if let Some(provider) = self.offer(slot).map(|offer| offer.provider) {
            self.retire_where(turn, provider, |step, _| step.slot == slot);
        }
    }

    /// Retires every offer of a provider.
    pub(crate) fn cancel_all(&mut self, turn: &mut Turn<'_>, provider: ProviderId) {
        self.retire_where(turn, provider, |_, _| true);
    }

    /// Retires every offer of a provider that has no expiry.
    pub(crate) fn cancel_unlimited(&mut self, turn: &mut Turn<'_>, provider: ProviderId) {
        self.retire_where(turn, provider, |_, offer| offer.expires.is_none());
    }

    fn retire_where(&mut self, turn: &mut Turn<'_>, provider: ProviderId, goes: impl Fn(&Step, &Offer) -> bool) {
        let mut ladders = std::mem::take(&mut self.sellers[provider.index()].ladders);
        for step in ladders.take(|step| self.offer(step.slot).is_none_or(|offer| goes(step, offer))) {
            self.retire(turn, provider, &mut ladders, &step);
        }
        self.sellers[provider.index()].ladders = ladders;
        self.arrange_all(provider);
    }
}
