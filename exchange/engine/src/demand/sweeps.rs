//! Sweeps: resting bids that were woken look at the market again, best limit first.
//!
//! A command goes on with them for at most [`EXAMINED_MAX`] bids, and matches at most one.

use merit_terms::Time;

use super::deferred::effective;
use super::{EXAMINED_MAX, Side, TAKE_UP_WITHIN_MS};
use crate::Engine;
use crate::command::Bid;
use crate::dues::Due;
use crate::event::{BidEnding, Event, Resting};

impl Engine {
    /// Goes on with what is to be examined: at most [`EXAMINED_MAX`] bids, until one is matched. How many were.
    pub(crate) fn sweep(&mut self, at: Time, sequence: u64, events: &mut Vec<Event>) -> usize {
        let mut examined = 0;
        while examined < EXAMINED_MAX
            && let Some((_, bid)) = self.bids.eager.first().copied()
        {
            examined += 1;
            if self.match_at_any_price(at, sequence, bid, events) {
                return examined;
            }
        }
        let sides: Vec<Side> = self.bids.sweeps.keys().copied().collect();
        for side in sides {
            while examined < EXAMINED_MAX
                && let Some(bid) = self.bids.next(side)
            {
                examined += 1;
                if self.may_match(at, bid) && self.match_bid(at, sequence, bid, effective, events) {
                    return examined;
                }
            }
        }
        examined
    }

    fn may_match(&self, at: Time, bid: u64) -> bool {
        self.is_served(bid) && self.bids.resting.get(&bid).is_some_and(|resting| resting.deferred.deadline > at)
    }

    /// Whether a bid's broker is there to take a match up, and its account may buy.
    fn is_served(&self, bid: u64) -> bool {
        self.bids.resting.get(&bid).map(|resting| &resting.deferred.bid).is_some_and(|bid| {
            let online = bid.request.is_some_and(|request| self.brokers.is_online(request.session));
            online && !self.ledger.accounts[bid.account.index()].frozen
        })
    }

    /// Matches a bid whose deadline has passed, or lets it expire; whether it was matched.
    fn match_at_any_price(&mut self, at: Time, sequence: u64, bid: u64, events: &mut Vec<Event>) -> bool {
        let any_price = |resting: &Resting| {
            let mut bid = effective(resting);
            bid.limits.max_price = None;
            bid
        };
        if self.is_served(bid) && self.match_bid(at, sequence, bid, any_price, events) {
            return true;
        }
        if let Some(resting) = self.unrest(bid) {
            self.gone(resting, BidEnding::Expired, events);
        }
        false
    }

    /// Matches a bid if any offer serves it: what it holds is its own.
    fn match_bid(
        &mut self,
        at: Time,
        sequence: u64,
        id: u64,
        asks: impl Fn(&Resting) -> Bid,
        events: &mut Vec<Event>,
    ) -> bool {
        let Some(resting) = self.bids.resting.remove(&id) else { return false };
        let bid = asks(&resting);
        self.unhold_for(&resting);
        let found = self.best_for_resting(&bid, at, resting.hold);
        self.hold_for(&resting);
        self.bids.resting.insert(id, resting);
        let Some(best) = found else { return false };
        let Some(resting) = self.unrest(id) else { return false };
        self.gone(resting.clone(), BidEnding::Matched, events);
        let grant = self.lease(at, sequence, &bid, &best, Some(Box::new(resting)), events);
        self.dues.insert((at.after_millis(TAKE_UP_WITHIN_MS), Due::TakeUp(sequence)));
        events.push(Event::Offered(Box::new(grant)));
        true
    }
}
