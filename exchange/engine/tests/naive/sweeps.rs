//! Sweeps: resting bids look at what appeared, got cheaper, freed or renewed, best limit first.

use merit_engine::{BidEnding, Event, Resting};
use merit_terms::{LeaseId, MarketId, Price, Time};

use super::Twin;
use super::deferred::as_matched;

/// The most bids that one command examines.
const EXAMINED_MAX: usize = 64;

/// A walk over the bid side of one market, which may take several commands.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    market: MarketId,
    /// The bid that was examined last, by its limit and id.
    after: Option<(Price, LeaseId)>,
    /// The least limit that is examined.
    floor: Price,
    /// From which price on all bids are to be examined anew.
    again: Option<Price>,
}

impl Twin {
    /// Something may serve bids at `price` or above; nothing happens if none rests there.
    pub(super) fn trigger(&mut self, market: MarketId, price: Price) {
        let concerns = |bid: &Resting| bid.markets.contains(&market) && bid.limit >= price;
        if !self.resting.iter().any(|rested| concerns(&rested.resting)) {
            return;
        }
        match self.sweeps.iter_mut().find(|sweep| sweep.market == market) {
            None => self.sweeps.push(Sweep { market, after: None, floor: price, again: None }),
            Some(sweep) => sweep.again = Some(sweep.again.map_or(price, |again| again.min(price))),
        }
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.sweeps.is_empty() || self.resting.iter().any(|rested| rested.eager)
    }

    /// Examines at most 64 bids and matches at most one; whether it examined any.
    pub(super) fn sweep(&mut self, at: Time, sequence: u64) -> bool {
        for examined in 0..EXAMINED_MAX {
            let matched = if let Some(bid) = self.next_eager() {
                self.examine_eager(at, sequence, &bid)
            } else if let Some(bid) = self.next_swept() {
                self.examine(at, sequence, &bid)
            } else {
                return examined > 0;
            };
            if matched {
                return true;
            }
        }
        true
    }

    fn next_eager(&self) -> Option<Resting> {
        let eager = self.resting.iter().filter(|rested| rested.eager).map(|rested| &rested.resting);
        eager.min_by_key(|bid| (bid.deferred.deadline, bid.id)).cloned()
    }

    /// The next bid of the first market with a sweep, which moves past it.
    fn next_swept(&mut self) -> Option<Resting> {
        self.end_finished_sweeps();
        let index = (0..self.sweeps.len()).min_by_key(|index| self.sweeps[*index].market)?;
        let bid = self.next_in(&self.sweeps[index]).cloned()?;
        self.sweeps[index].after = Some((bid.limit, bid.id));
        Some(bid)
    }

    fn next_in(&self, sweep: &Sweep) -> Option<&Resting> {
        let order = |limit: Price, id: LeaseId| (std::cmp::Reverse(limit), id);
        let is_left = |bid: &&Resting| {
            let passed = sweep.after.is_some_and(|(limit, id)| order(bid.limit, bid.id) <= order(limit, id));
            bid.markets.contains(&sweep.market) && bid.limit >= sweep.floor && !passed
        };
        let bids = self.resting.iter().map(|rested| &rested.resting);
        bids.filter(is_left).min_by_key(|bid| order(bid.limit, bid.id))
    }

    /// A sweep without a bid left begins anew if something happened meanwhile, or is over.
    pub(super) fn end_finished_sweeps(&mut self) {
        for mut sweep in std::mem::take(&mut self.sweeps) {
            if self.next_in(&sweep).is_none()
                && let Some(floor) = sweep.again
            {
                sweep = Sweep { market: sweep.market, after: None, floor, again: None };
            }
            if self.next_in(&sweep).is_some() {
                self.sweeps.push(sweep);
            }
        }
    }

    /// At its deadline a bid takes any price, or is over.
    fn examine_eager(&mut self, at: Time, sequence: u64, bid: &Resting) -> bool {
        let matched = self.may_match(bid) && self.match_bid(at, sequence, bid, false);
        if !matched {
            self.leave(self.index_of_bid(bid.id), BidEnding::Expired);
        }
        matched
    }

    fn examine(&mut self, at: Time, sequence: u64, bid: &Resting) -> bool {
        bid.deferred.deadline > at && self.may_match(bid) && self.match_bid(at, sequence, bid, true)
    }

    /// Its broker must be there to take it up.
    fn may_match(&self, bid: &Resting) -> bool {
        let Some(request) = bid.deferred.bid.request else { return false };
        self.online_broker(request.session).is_ok() && !self.accounts[bid.deferred.bid.account.index()].frozen
    }

    fn index_of_bid(&self, id: LeaseId) -> usize {
        self.resting.iter().position(|rested| rested.resting.id == id).expect("the bid rests")
    }

    /// Leases the best offer within the bid's limit, or at any price, and offers the lease to its broker.
    fn match_bid(&mut self, at: Time, sequence: u64, resting: &Resting, within_limit: bool) -> bool {
        let mut bid = as_matched(resting);
        if !within_limit {
            bid.limits.max_price = None;
        }
        let Ok(grant) = self.buy(at, sequence, &bid, Some(resting)) else { return false };
        self.leave(self.index_of_bid(resting.id), BidEnding::Matched);
        self.events.push(Event::Offered(Box::new(grant)));
        true
    }
}
