//! Sweeps: woken bids look at the market again, best limit first.
//!
//! A command goes on with them for at most [`EXAMINED_MAX`] bids, and matches at most one.

use merit_terms::Time;

use super::deferred::effective;
use super::resting::EXAMINED_MAX;
use crate::Engine;
use crate::command::Bid;
use crate::event::{BidEnding, Event, Resting};
use crate::turn::Turn;

impl Engine {
    /// Goes on with the sweeps: examines at most [`EXAMINED_MAX`] bids, until one is matched. Returns the number
    /// examined.
    pub(crate) fn sweep(&mut self, turn: &mut Turn<'_>) -> usize {
        let mut examined = 0;
        while examined < EXAMINED_MAX
            && let Some(bid) = self.bids.first_eager()
        {
            examined += 1;
            if self.match_at_any_price(turn, bid) {
                return examined;
            }
        }
        for side in self.bids.swept_sides() {
            while examined < EXAMINED_MAX
                && let Some(bid) = self.bids.next(side)
            {
                examined += 1;
                if self.may_match(turn.at, bid) && self.match_bid(turn, bid, effective) {
                    return examined;
                }
            }
        }
        examined
    }

    fn may_match(&self, at: Time, bid: u64) -> bool {
        self.is_served(bid) && self.bids.get(bid).is_some_and(|resting| resting.deferred.deadline > at)
    }

    /// Returns whether a bid's broker is there to take a match up, and its account may buy.
    fn is_served(&self, bid: u64) -> bool {
        self.bids.get(bid).map(|resting| &resting.deferred.bid).is_some_and(|bid| {
            let online = bid.request.is_some_and(|request| self.brokers.is_online(request.session));
            online && !self.ledger.account(bid.account).frozen
        })
    }

    /// Matches a bid past its deadline, or lets it expire. Returns whether it was matched.
    fn match_at_any_price(&mut self, turn: &mut Turn<'_>, bid: u64) -> bool {
        let any_price = |resting: &Resting| {
            let mut bid = effective(resting);
            bid.limits.max_price = None;
            bid
        };
        if self.is_served(bid) && self.match_bid(turn, bid, any_price) {
            return true;
        }
        self.drop_bid(turn, bid, BidEnding::Expired);
        false
    }

    /// Matches a bid if any offer serves it, within its hold. Returns whether it was matched.
    fn match_bid(&mut self, turn: &mut Turn<'_>, id: u64, asks: impl Fn(&Resting) -> Bid) -> bool {
        let Some(resting) = self.bids.lift(id) else { return false };
        let bid = asks(&resting);
        self.unhold_for(&resting);
        let found = self.best_for_resting(&bid, turn.at, resting.hold);
        self.hold_for(&resting);
        self.bids.put_back(resting);
        let Some(best) = found else { return false };
        let Some(resting) = self.unrest(turn, id) else { return false };
        turn.tell(Event::BidGone { resting: Box::new(resting.clone()), how: BidEnding::Matched });
        let grant = self.lease(turn, &bid, &best, Some(Box::new(resting)));
        turn.tell(Event::Offered(Box::new(grant)));
        true
    }
}
