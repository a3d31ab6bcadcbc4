//! A ladder takes the place of another: which rungs stay the offers that they were, which are new, and which go.
//!
//! A rung with the id, tariff and pool of one that stood is that offer: it keeps its id and its leases, and its place too, if it
//! says nothing else than before.

use merit_terms::{AccountId, Name, OfferId, Price, Refusal, Rung, Time};

use super::{Extras, Offer, OfferSlot, PoolSlot, Seller, Shelf};
use crate::command::Quote;
use crate::dues::{Due, Dues};
use crate::event::Event;
use crate::supply::ladders::{Ladders, Room, Step};
use crate::supply::quotas::Allowance;

/// A rung with what its names stand for.
pub(crate) struct Posting<'a> {
    pub(crate) rung: &'a Rung,
    pub(crate) audience: Vec<AccountId>,
    pub(crate) quota: Option<u32>,
}

const RUNGS_MAX: usize = 64;
/// Of a rung that is not posted yet.
const NEW: OfferSlot = OfferSlot::MAX;

impl Offer {
    /// Whether a quoted rung is this offer, perhaps of another size: it keeps its leases and its id.
    fn is_kept_by(&self, posting: &Posting<'_>, pool: PoolSlot) -> bool {
        self.rung == posting.rung.id && self.tariff == posting.rung.tariff && self.pool == pool
    }

    /// Whether the rung says again what the offer says, apart from its expiry and the provider's claims.
    fn says(&self, posting: &Posting<'_>) -> bool {
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
}

impl Shelf {
    /// Replaces a provider's ladder in one market; the quote has been checked.
    pub(crate) fn replace_ladder(
        &mut self,
        quote: &Quote,
        postings: &[Posting<'_>],
        sequence: u64,
        dues: &mut Dues,
        events: &mut Vec<Event>,
    ) {
        let Seller { pools, mut ladders } = std::mem::take(&mut self.sellers[quote.provider.index()]);
        let before = ladders.of(quote.market).to_vec();
        let mut ladder: Vec<Step> = Vec::with_capacity(postings.len());
        for posting in postings {
            let (market, pool) = (quote.market, pools[posting.rung.pool as usize]);
            let rate = posting.rung.tariff.per_gb_second.picodollars();
            let is_same = |step: &&Step| {
                step.rate == rate && self.offer(step.slot).is_some_and(|offer| offer.is_kept_by(posting, pool))
            };
            let new = Step { rate, market, slot: NEW, pool, form: 0, room: Room::Unseen };
            ladder.push(before.iter().find(is_same).copied().unwrap_or(new));
        }
        // What goes is at hand, and makes room for what comes.
        for step in &before {
            if ladder.iter().all(|kept| kept.slot != step.slot) {
                self.retire(quote.provider, &mut ladders, step, dues, events);
            }
        }
        for (step, posting) in ladder.iter_mut().zip(postings) {
            if step.slot == NEW {
                self.post_rung(quote, posting, step, sequence, dues, events);
            } else {
                self.requote(&mut ladders, step, posting, sequence, dues, events);
            }
        }
        self.share_places(&ladder);
        ladders.replace(quote.market, ladder);
        self.sellers[quote.provider.index()] = Seller { pools, ladders };
        self.arrange(quote.provider, quote.market);
    }

    fn requote(
        &mut self,
        ladders: &mut Ladders,
        step: &mut Step,
        posting: &Posting<'_>,
        sequence: u64,
        dues: &mut Dues,
        events: &mut Vec<Event>,
    ) {
        let slot = step.slot;
        let Some(offer) = self.offers[slot as usize].as_mut() else { return };
        let (id, provider, expires) = (offer.id, offer.provider, posting.rung.expires);
        if offer.expires != expires {
            if let Some(before) = std::mem::replace(&mut offer.expires, expires) {
                dues.remove(&(before, Due::Offer(id, slot)));
            }
            if let Some(expires) = expires {
                dues.insert((expires, Due::Offer(id, slot)));
            }
        }
        if offer.says(posting) {
            if offer.labels().map_or(!posting.rung.labels.is_empty(), |labels| *labels != posting.rung.labels) {
                offer.extras = posting.extras();
            }
            return;
        }
        self.orphan(provider, ladders, step);
        if let Some(offer) = self.offers[slot as usize].as_mut() {
            offer.take_over(posting);
            offer.place = sequence;
        }
        (step.form, step.room) = (self.adopt(slot), Room::Unseen);
        self.wake(slot);
        self.show(slot, events);
    }

    fn wake(&mut self, slot: OfferSlot) {
        if self.watched
            && let Some(offer) = self.offers[slot as usize].as_ref()
        {
            self.woken.push((offer.market, offer.price));
        }
    }

    fn post_rung(
        &mut self,
        quote: &Quote,
        posting: &Posting<'_>,
        step: &mut Step,
        sequence: u64,
        dues: &mut Dues,
        events: &mut Vec<Event>,
    ) {
        self.last_offer += 1;
        let (rung, id) = (posting.rung, OfferId(self.last_offer));
        let slot = self.post(Offer {
            id,
            provider: quote.provider,
            market: quote.market,
            pool: step.pool,
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
            quota: posting.quota,
            place: sequence,
            expires: rung.expires,
            extras: posting.extras(),
            enforces_timeout: rung.enforces_timeout,
            retired: false,
            closed_at: 0,
        });
        if let Some(expires) = rung.expires {
            dues.insert((expires, Due::Offer(id, slot)));
        }
        (step.slot, step.form) = (slot, self.adopt(slot));
        self.wake(slot);
        self.show(slot, events);
    }

    /// Rungs of one ladder with one tariff tie for every bid, and so share one place: the latest.
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

/// What is known where a ladder is quoted.
pub(crate) struct Counter<'a> {
    pub(crate) at: Time,
    pub(crate) pools: usize,
    pub(crate) quotas: &'a [Allowance],
    pub(crate) bands: Option<(Price, Price)>,
}

/// The rungs with what their names stand for; refuses a ladder with any rung out of bounds, naming each.
pub(crate) fn postings<'a>(
    rungs: &'a [Rung],
    counter: &Counter<'_>,
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
            counter.posting(rung, &account)
        };
        match posting {
            Ok(posting) => postings.push(posting),
            Err(reason) => wrong.push((rung.id, reason)),
        }
    }
    if wrong.is_empty() { Ok(postings) } else { Err(Refusal::Rungs { rungs: wrong }) }
}

impl Counter<'_> {
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
            Some(name) => match self.quotas.iter().position(|known| known.quota.name == *name) {
                Some(at) => Some(at as u32),
                None => return Err(format!("there is no quota {name}; the logon states quotas")),
            },
        };
        if let Some((low, high)) = self.bands {
            let price = rung.tariff.reference_price();
            if price > Price::ZERO && !(low..=high).contains(&price) {
                return Err(format!("its price is {price} USD per GB-s; the market's bands are {low} to {high}"));
            }
        }
        let known = |name: &Name| account(name).ok_or_else(|| format!("there is no account {name}"));
        Ok(Posting { rung, audience: rung.audience.iter().map(known).collect::<Result<_, _>>()?, quota })
    }
}
