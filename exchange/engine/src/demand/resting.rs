//! The resting bids, by side and limit, and the sweeps over them.
//!
//! Owns both; never matches a bid.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use merit_terms::{AccountId, MarketId, Price, Time};
use serde::{Deserialize, Serialize};

use crate::command::BrokerRequest;
use crate::event::Resting;

/// Maximum bids that one command examines; the next commands go on with the sweep.
pub const EXAMINED_MAX: usize = 64;

/// The rank of a resting bid: best limit first, then oldest.
type Rank = (Reverse<Price>, u64);

/// The bids of a sweep: those of a market or of an account. Markets go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Side {
    Market(MarketId),
    Account(AccountId),
}

/// The resting bids of all markets and accounts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bids {
    resting: BTreeMap<u64, Resting>,
    /// Bids past their deadline, to be matched at any price or to expire.
    eager: BTreeSet<(Time, u64)>,
    sweeps: BTreeMap<Side, Sweep>,
    /// Time up to which ends of pauses and midnights have been looked at, while bids rest.
    looked: Time,
    /// Time of the next look, while bids rest.
    look: Option<Time>,
    #[serde(skip)]
    by_request: BTreeMap<BrokerRequest, u64>,
    #[serde(skip)]
    sides: BTreeMap<Side, BTreeSet<Rank>>,
}

/// A pass over the bids of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// Limit and sequence of the bid examined last.
    after: Option<(Price, u64)>,
    /// Least limit of the bids to examine.
    floor: Price,
    /// Floor of another pass: bids down to it were woken meanwhile.
    again: Option<Price>,
}

impl Bids {
    /// Returns whether bids are to be examined.
    pub(crate) fn is_pending(&self) -> bool {
        !self.sweeps.is_empty() || !self.eager.is_empty()
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Resting> {
        self.resting.get(&sequence)
    }

    /// Lists the resting bids, by sequence.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Resting> {
        self.resting.values()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.resting.is_empty()
    }

    /// Finds the resting bid of a broker's request.
    pub(crate) fn of_request(&self, request: BrokerRequest) -> Option<&Resting> {
        self.resting.get(self.by_request.get(&request)?)
    }

    /// Lists the resting bids that a broker's session answers for, in order of its requests.
    pub(crate) fn of_session(&self, session: u64) -> impl Iterator<Item = &Resting> {
        let bids = self.by_request.range(BrokerRequest::of_session(session));
        bids.filter_map(|(_, sequence)| self.resting.get(sequence))
    }

    /// Takes a bid out while it is matched; [`Bids::put_back`] follows.
    pub(super) fn lift(&mut self, sequence: u64) -> Option<Resting> {
        self.resting.remove(&sequence)
    }

    pub(super) fn put_back(&mut self, resting: Resting) {
        self.resting.insert(resting.id.sequence, resting);
    }

    /// Adds a bid past its deadline to those that are matched at any price.
    pub(super) fn hurry(&mut self, deadline: Time, sequence: u64) {
        self.eager.insert((deadline, sequence));
    }

    /// Returns the examinations that are left to do, for the digest: sweeps, bids past their deadline, and the looks.
    pub(crate) fn examinations(&self) -> impl Serialize {
        (&self.sweeps, &self.eager, self.looked, self.look)
    }

    /// Returns the first bid past its deadline.
    pub(super) fn first_eager(&self) -> Option<u64> {
        self.eager.first().map(|(_, bid)| *bid)
    }

    /// Returns the sides with a sweep.
    pub(super) fn swept_sides(&self) -> Vec<Side> {
        self.sweeps.keys().copied().collect()
    }

    /// Returns the time up to which ends of pauses and midnights have been looked at.
    pub(super) fn looked(&self) -> Time {
        self.looked
    }

    pub(super) fn set_looked(&mut self, looked: Time) {
        self.looked = looked;
    }

    /// Sets the time of the next look. Returns the one before.
    pub(super) fn set_look(&mut self, look: Option<Time>) -> Option<Time> {
        std::mem::replace(&mut self.look, look)
    }

    /// Builds anew what is computed from the bids.
    pub(crate) fn rebuild(&mut self) {
        for resting in std::mem::take(&mut self.resting).into_values() {
            self.insert(resting);
        }
    }

    pub(super) fn insert(&mut self, resting: Resting) {
        for side in sides(&resting) {
            let rank = (Reverse(resting.limit), resting.id.sequence);
            self.sides.entry(side).or_default().insert(rank);
        }
        self.by_request.extend(resting.deferred.bid.request.map(|request| (request, resting.id.sequence)));
        self.resting.insert(resting.id.sequence, resting);
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<Resting> {
        let resting = self.resting.remove(&sequence)?;
        for side in sides(&resting) {
            if let Some(bids) = self.sides.get_mut(&side) {
                bids.remove(&(Reverse(resting.limit), sequence));
                if bids.is_empty() {
                    self.sides.remove(&side);
                }
            }
        }
        self.eager.remove(&(resting.deferred.deadline, sequence));
        if let Some(request) = resting.deferred.bid.request {
            self.by_request.remove(&request);
        }
        Some(resting)
    }

    /// Counts the resting bids of an account.
    pub(super) fn count(&self, account: AccountId) -> usize {
        self.sides.get(&Side::Account(account)).map_or(0, BTreeSet::len)
    }

    /// Wakes the bids of a side with limits from `price` up, if there are any. A pass that has examined none yet only
    /// goes further down: the order in which a command wakes bids does not matter.
    pub(super) fn wake(&mut self, side: Side, price: Price) {
        let best = self.sides.get(&side).and_then(BTreeSet::first);
        if best.is_none_or(|(Reverse(limit), _)| *limit < price) {
            return;
        }
        match self.sweeps.get_mut(&side) {
            Some(sweep) if sweep.after.is_none() => sweep.floor = sweep.floor.min(price),
            Some(sweep) => sweep.again = Some(sweep.again.map_or(price, |again| again.min(price))),
            None => {
                self.sweeps.insert(side, Sweep { after: None, floor: price, again: None });
            }
        }
    }

    /// Returns limit and sequence of the next bid of a pass.
    fn next_of(&self, side: Side, sweep: &Sweep) -> Option<(Price, u64)> {
        let from = sweep.after.map_or(Bound::Unbounded, |(limit, id)| Bound::Excluded((Reverse(limit), id)));
        let (Reverse(limit), id) = self.sides.get(&side)?.range((from, Bound::Unbounded)).next()?;
        (*limit >= sweep.floor).then_some((*limit, *id))
    }

    /// Goes on with the sweep of a side. Returns the next bid to examine.
    pub(super) fn next(&mut self, side: Side) -> Option<u64> {
        self.finish(side);
        let sweep = *self.sweeps.get(&side)?;
        let next = self.next_of(side, &sweep)?;
        self.sweeps.insert(side, Sweep { after: Some(next), ..sweep });
        Some(next.1)
    }

    /// Begins another pass if this one is over and bids were woken meanwhile. Ends a sweep without a bid left.
    fn finish(&mut self, side: Side) {
        let Some(mut sweep) = self.sweeps.get(&side).copied() else { return };
        if let Some(floor) = sweep.again
            && self.next_of(side, &sweep).is_none()
        {
            sweep = Sweep { after: None, floor, again: None };
            self.sweeps.insert(side, sweep);
        }
        if self.next_of(side, &sweep).is_none() {
            self.sweeps.remove(&side);
        }
    }

    /// Ends the sweeps without a bid left.
    pub(crate) fn finish_all(&mut self) {
        let sides: Vec<Side> = self.sweeps.keys().copied().collect();
        for side in sides {
            self.finish(side);
        }
    }
}

/// Lists the sides of a bid: each of its markets, and its account.
fn sides(resting: &Resting) -> impl Iterator<Item = Side> + use<'_> {
    let markets = resting.markets.iter().map(|market| Side::Market(*market));
    markets.chain([Side::Account(resting.deferred.bid.account)])
}
