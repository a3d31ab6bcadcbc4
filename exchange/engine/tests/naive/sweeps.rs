//! Sweeps: resting bids look at the market again, best limit first.

use merit_engine::{BidEnding, Event, Resting};
use merit_terms::{AccountId, LeaseId, MarketId, Price, Time};

use super::Twin;
use super::deferred::as_matched;

/// The most bids that one command examines.
const EXAMINED_MAX: usize = 64;

/// The bids of a sweep; those of markets come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Market(MarketId),
    Account(AccountId),
}

/// A walk over the bids of one side, which may take several commands.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    side: Side,
    /// Limit and id of the bid that was examined last.
    after: Option<(Price, LeaseId)>,
    /// The least limit that is examined.
    floor: Price,
    /// Price from which on all bids are examined anew.
    again: Option<Price>,
}

impl Side {
    fn has(self, bid: &Resting) -> bool {
        match self {
            Side::Market(market) => bid.markets.contains(&market),
            Side::Account(account) => bid.deferred.bid.account == account,
        }
    }
}

impl Twin {
    /// Wakes a market's bids at `price` or above. Returns whether any rests there.
    pub(super) fn trigger(&mut self, market: MarketId, price: Price) -> bool {
        self.trigger_side(Side::Market(market), price)
    }

    /// Wakes an account's bids. Returns whether any rests.
    pub(super) fn trigger_account(&mut self, account: AccountId) -> bool {
        self.trigger_side(Side::Account(account), Price::ZERO)
    }

    /// Begins a sweep, or lowers the floor of one that has not begun.
    fn trigger_side(&mut self, side: Side, price: Price) -> bool {
        let concerns = |bid: &Resting| side.has(bid) && bid.limit >= price;
        if !self.resting.iter().any(|rested| concerns(&rested.resting)) {
            return false;
        }
        match self.sweeps.iter_mut().find(|sweep| sweep.side == side) {
            None => self.sweeps.push(Sweep { side, after: None, floor: price, again: None }),
            Some(sweep) if sweep.after.is_none() => sweep.floor = sweep.floor.min(price),
            Some(sweep) => sweep.again = Some(sweep.again.map_or(price, |again| again.min(price))),
        }
        true
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.sweeps.is_empty() || self.resting.iter().any(|rested| rested.eager)
    }

    /// Examines at most 64 bids and matches at most one. Returns whether it examined any.
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

    /// Returns the next bid of the first side with a sweep, which moves past it.
    fn next_swept(&mut self) -> Option<Resting> {
        self.end_finished_sweeps();
        let index = (0..self.sweeps.len()).min_by_key(|index| self.sweeps[*index].side)?;
        let bid = self.next_in(&self.sweeps[index]).cloned()?;
        self.sweeps[index].after = Some((bid.limit, bid.id));
        Some(bid)
    }

    fn next_in(&self, sweep: &Sweep) -> Option<&Resting> {
        let order = |limit: Price, id: LeaseId| (std::cmp::Reverse(limit), id);
        let is_left = |bid: &&Resting| {
            let passed = sweep.after.is_some_and(|(limit, id)| order(bid.limit, bid.id) <= order(limit, id));
            sweep.side.has(bid) && bid.limit >= sweep.floor && !passed
        };
        let bids = self.resting.iter().map(|rested| &rested.resting);
        bids.filter(is_left).min_by_key(|bid| order(bid.limit, bid.id))
    }

    /// Ends sweeps without a bid left; one that was woken meanwhile begins anew.
    pub(super) fn end_finished_sweeps(&mut self) {
        for mut sweep in std::mem::take(&mut self.sweeps) {
            if self.next_in(&sweep).is_none()
                && let Some(floor) = sweep.again
            {
                sweep = Sweep { side: sweep.side, after: None, floor, again: None };
            }
            if self.next_in(&sweep).is_some() {
                self.sweeps.push(sweep);
            }
        }
    }

    /// Matches a bid at its deadline at any price, or ends it.
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

    /// Returns whether the bid's broker is there to take a lease up.
    pub(super) fn may_match(&self, bid: &Resting) -> bool {
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
