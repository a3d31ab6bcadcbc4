//! Quoting: a ladder takes the place of another. Some rungs stay the offers that they were, some are new, some go.
//!
//! A rung with the id, tariff and pool of an offer is that offer: it keeps its id and its leases, and its place too if
//! nothing else changes.

use merit_terms::{AccountId, Name, OfferId, Refusal, Rung, Time};

use super::Shelf;
use super::ladders::{Ladders, Room, Step};
use super::offers::{Extras, Offer};
use super::pools::PoolSlot;
use super::quotas::Allowance;
use crate::command::{MarketTerms, Quote};
use crate::deadlines::{Deadline, OfferSlot};
use crate::turn::Turn;

/// A quoted rung, with its names resolved.
pub(super) struct Posting<'a> {
    rung: &'a Rung,
    audience: Vec<AccountId>,
    quota: Option<u32>,
}

/// Maximum rungs of a ladder.
const RUNGS_MAX: usize = 64;

impl Offer {
    /// Returns whether a quoted rung is this offer, perhaps of another size: it keeps its leases and its id.
    fn is_kept_by(&self, posting: &Posting<'_>, pool: PoolSlot) -> bool {
        self.rung == posting.rung.id && self.tariff == posting.rung.tariff && self.pool == pool
    }

    /// Returns whether the rung repeats the offer, apart from its expiry and the provider's claims.
    fn is_repeated_by(&self, posting: &Posting<'_>) -> bool {
        let rung = posting.rung;
        (self.capacity_mb, self.vcpus_milli, self.enforces_timeout)
            == (rung.capacity_mb, rung.vcpus_milli, rung.enforces_timeout)
            && (self.memory_min_mb, self.memory_max_mb) == (rung.memory_min_mb, rung.memory_max_mb)
            && (self.longest_ms, self.quota) == (rung.longest_ms, posting.quota)
            && self.audience() == posting.audience
    }

    fn take_over(&mut self, posting: &Posting<'_>) {
        let rung = posting.rung;
        self.capacity_mb = rung.capacity_mb;
        self.vcpus_milli = rung.vcpus_milli;
        self.enforces_timeout = rung.enforces_timeout;
        self.memory_min_mb = rung.memory_min_mb;
        self.memory_max_mb = rung.memory_max_mb;
        self.longest_ms = rung.longest_ms;
        self.quota = posting.quota;
        self.expires = rung.expires;
        self.extras = posting.extras();
    }
}

impl Posting<'_> {
    fn extras(&self) -> Option<Box<Extras>> {
        let bare = self.rung.labels.is_empty() && self.audience.is_empty();
        (!bare).then(|| Box::new(Extras { labels: self.rung.labels.clone(), audience: self.audience.clone() }))
    }

    /// Returns the offer that is posted for it.
    fn offer(&self, id: OfferId, quote: &Quote, pool: PoolSlot, place: u64) -> Offer {
        let rung = self.rung;
        Offer {
            id,
            provider: quote.provider,
            market: quote.market,
            pool,
            rung: rung.id,
            tariff: rung.tariff,
            vcpus_milli: rung.vcpus_milli,
            memory_min_mb: rung.memory_min_mb,
            memory_max_mb: rung.memory_max_mb,
            longest_ms: rung.longest_ms,
            price: rung.tariff.reference_price(),
            capacity_mb: rung.capacity_mb,
            leased_mb: 0,
            leases: 0,
            quota: self.quota,
            place,
            expires: rung.expires,
            extras: self.extras(),
            enforces_timeout: rung.enforces_timeout,
            retired: false,
            closed_at: 0,
        }
    }
}

impl Shelf {
    /// Replaces a provider's ladder in one market; the quote has been checked.
    pub(super) fn replace_ladder(&mut self, turn: &mut Turn<'_>, quote: &Quote, postings: &[Posting<'_>]) {
        let (provider, market) = (quote.provider, quote.market);
        let seller = &mut self.sellers[provider.index()];
        let (pools, mut ladders) = (std::mem::take(&mut seller.pools), std::mem::take(&mut seller.ladders));
        let before = ladders.of(market).to_vec();
        let mut ladder: Vec<Step> = Vec::with_capacity(postings.len());
        for posting in postings {
            let pool = pools[posting.rung.pool as usize];
            let rate = posting.rung.tariff.per_gb_second.picodollars();
            let is_same = |step: &&Step| {
                step.rate == rate && self.offer(step.slot).is_some_and(|offer| offer.is_kept_by(posting, pool))
            };
            let new = Step { rate, market, slot: OfferSlot::UNPOSTED, pool, form: 0, room: Room::Unseen };
            ladder.push(before.iter().find(is_same).copied().unwrap_or(new));
        }
        // Offers go before others come: new ones fill their slots.
        for step in &before {
            if ladder.iter().all(|kept| kept.slot != step.slot) {
                self.retire(turn, provider, &mut ladders, step);
            }
        }
        for (step, posting) in ladder.iter_mut().zip(postings) {
            if step.slot == OfferSlot::UNPOSTED {
                self.post_rung(turn, quote, posting, step);
            } else {
                self.requote(turn, &mut ladders, step, posting);
            }
        }
        self.share_places(&ladder);
        ladders.replace(market, ladder);
        let seller = &mut self.sellers[provider.index()];
        (seller.pools, seller.ladders) = (pools, ladders);
        self.arrange(provider, market);
    }

    /// Quotes an offer again: it keeps its place if nothing but its expiry and labels changes.
    fn requote(&mut self, turn: &mut Turn<'_>, ladders: &mut Ladders, step: &mut Step, posting: &Posting<'_>) {
        let slot = step.slot;
        let Some(offer) = self.offers[slot.index()].as_mut() else { return };
        let (id, provider, expires) = (offer.id, offer.provider, posting.rung.expires);
        if offer.expires != expires {
            if let Some(before) = std::mem::replace(&mut offer.expires, expires) {
                turn.deadlines.remove(before, Deadline::Offer(id, slot));
            }
            if let Some(expires) = expires {
                turn.deadlines.insert(expires, Deadline::Offer(id, slot));
            }
        }
        if offer.is_repeated_by(posting) {
            if offer.labels().map_or(!posting.rung.labels.is_empty(), |labels| *labels != posting.rung.labels) {
                offer.extras = posting.extras();
            }
            return;
        }
        self.orphan(provider, ladders, step);
        if let Some(offer) = self.offers[slot.index()].as_mut() {
            offer.take_over(posting);
            offer.place = turn.sequence;
        }
        (step.form, step.room) = (self.adopt(slot), Room::Unseen);
        self.wake(slot);
        self.show(turn, slot);
    }

    /// Notes more supply of one offer.
    fn wake(&mut self, slot: OfferSlot) {
        if self.watched
            && let Some(offer) = self.offers[slot.index()].as_ref()
        {
            self.woken.push((offer.market, offer.price));
        }
    }

    fn post_rung(&mut self, turn: &mut Turn<'_>, quote: &Quote, posting: &Posting<'_>, step: &mut Step) {
        self.last_offer += 1;
        let id = OfferId(self.last_offer);
        let slot = self.post(posting.offer(id, quote, step.pool, turn.sequence));
        if let Some(expires) = posting.rung.expires {
            turn.deadlines.insert(expires, Deadline::Offer(id, slot));
        }
        (step.slot, step.form) = (slot, self.adopt(slot));
        self.wake(slot);
        self.show(turn, slot);
    }

    fn post(&mut self, offer: Offer) -> OfferSlot {
        match self.free_slots.pop() {
            Some(slot) => {
                self.offers[slot.index()] = Some(offer);
                slot
            }
            None => {
                self.offers.push(Some(offer));
                OfferSlot::new(self.offers.len() - 1)
            }
        }
    }

    /// Gives rungs of one tariff the latest place of any of them: they tie for every bid.
    fn share_places(&mut self, ladder: &[Step]) {
        for (i, step) in ladder.iter().enumerate() {
            if !ladder[i + 1..].iter().any(|other| other.rate == step.rate) {
                continue;
            }
            let Some(tariff) = self.offer(step.slot).map(|offer| offer.tariff) else { continue };
            let place_of = |shelf: &Shelf, other: &Step| {
                shelf.offer(other.slot).filter(|offer| offer.tariff == tariff).map(|offer| offer.place)
            };
            let Some(latest) = ladder.iter().filter_map(|other| place_of(self, other)).max() else { continue };
            for other in ladder {
                if place_of(self, other).is_some_and(|place| place != latest)
                    && let Some(offer) = self.offer_mut(other.slot)
                {
                    offer.place = latest;
                }
            }
        }
    }
}

/// The facts that the rungs of a quote are checked against.
pub(super) struct QuoteChecks<'a> {
    pub(super) at: Time,
    pub(super) pools: usize,
    pub(super) quotas: &'a [Allowance],
    pub(super) terms: MarketTerms,
}

/// Resolves the names of the rungs. Refuses a ladder with any rung out of bounds, naming each.
pub(super) fn postings<'a>(
    rungs: &'a [Rung],
    checks: &QuoteChecks<'_>,
    account: impl Fn(&Name) -> Option<AccountId>,
) -> Result<Vec<Posting<'a>>, Refusal> {
    if rungs.len() > RUNGS_MAX {
        let message = format!("{} rungs; at most {RUNGS_MAX}", rungs.len());
        return Err(Refusal::Invalid { field: "rungs".to_owned(), message });
    }
    let (mut postings, mut wrong) = (Vec::with_capacity(rungs.len()), Vec::new());
    for (i, rung) in rungs.iter().enumerate() {
        let twice = rungs[..i].iter().any(|other| other.id == rung.id);
        let posting = if twice {
            Err("the rung's id stands twice in the ladder".to_owned())
        } else {
            checks.posting(rung, &account)
        };
        match posting {
            Ok(posting) => postings.push(posting),
            Err(reason) => wrong.push((rung.id, reason)),
        }
    }
    if wrong.is_empty() { Ok(postings) } else { Err(Refusal::Rungs { rungs: wrong }) }
}

impl QuoteChecks<'_> {
    fn posting<'a>(&self, rung: &'a Rung, account: impl Fn(&Name) -> Option<AccountId>) -> Result<Posting<'a>, String> {
        rung.check().map_err(|error| error.to_string())?;
        if rung.pool as usize >= self.pools {
            return Err(format!("there is no pool {}; the logon stated {}", rung.pool, self.pools));
        }
        if let Some(expires) = rung.expires.filter(|expires| *expires <= self.at) {
            return Err(format!("it expired at {expires}"));
        }
        let quota = match &rung.quota {
            None => None,
            Some(name) => match self.quotas.iter().position(|known| known.quota().name == *name) {
                Some(at) => Some(at as u32),
                None => return Err(format!("there is no quota {name}; the logon states quotas")),
            },
        };
        if self.terms.bands.is_some()
            && let price = rung.tariff.reference_price()
            && let Some((low, high)) = self.terms.bands_without(price)
        {
            return Err(format!("its price is {price} USD per GB-s; the market's bands are {low} to {high}"));
        }
        let known = |name: &Name| account(name).ok_or_else(|| format!("there is no account {name}"));
        Ok(Posting { rung, audience: rung.audience.iter().map(known).collect::<Result<_, _>>()?, quota })
    }
}
