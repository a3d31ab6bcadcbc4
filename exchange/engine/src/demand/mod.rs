//! Deferred bids: limit orders that rest until an offer may serve them.
//!
//! Owns the bid side of the books. Whatever may serve bids of a market or an account begins a sweep over them, best limit
//! first, then oldest; each command goes on with it for at most [`EXAMINED_MAX`] bids, and matches at most one, whose lease
//! has its sequence. What becomes of a bid is `deferred`; what begins a sweep is `wakes`; who is examined and matched is
//! `sweeps`.

pub(crate) mod brokers;
mod deferred;
mod sweeps;
mod wakes;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use merit_terms::{AccountId, MarketId, Price, Time};
use serde::{Deserialize, Serialize};

use crate::command::BrokerRequest;
use crate::event::Resting;

/// The most bids that one command examines; the rest of a sweep is for the next ones.
pub const EXAMINED_MAX: usize = 64;
/// How long a broker may take to take up a match.
pub(crate) const TAKE_UP_WITHIN_MS: u64 = 1_000;
/// The longest a bid may rest.
const RESTS_MAX_MS: u64 = 31 * 24 * 3600 * 1000;
/// Resting bids of one account.
const BIDS_MAX: usize = 100_000;

/// Best limit first, then oldest.
type Rank = (Reverse<Price>, u64);

/// Whose bids a sweep is over; those of markets go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Side {
    Market(MarketId),
    Account(AccountId),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bids {
    pub(crate) resting: BTreeMap<u64, Resting>,
    /// Bids past their deadline that are matched at any price, or expire.
    eager: BTreeSet<(Time, u64)>,
    sweeps: BTreeMap<Side, Sweep>,
    /// Until when ends of back-offs and midnights have been looked at, while bids rest.
    looked: Time,
    /// When the next of them is due, while bids rest.
    look: Option<Time>,
    #[serde(skip)]
    pub(crate) by_request: BTreeMap<BrokerRequest, u64>,
    #[serde(skip)]
    sides: BTreeMap<Side, BTreeSet<Rank>>,
}

/// A pass over the bids of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// The bid examined last: its limit and sequence.
    after: Option<(Price, u64)>,
    /// Bids with a lower limit need not be examined.
    floor: Price,
    /// Bids down to this limit were woken meanwhile: another pass follows.
    again: Option<Price>,
}

impl Bids {
    pub(crate) fn is_pending(&self) -> bool {
        !self.sweeps.is_empty() || !self.eager.is_empty()
    }

    pub(crate) fn sweeps(&self) -> impl Iterator<Item = (Side, &Sweep)> {
        self.sweeps.iter().map(|(side, sweep)| (*side, sweep))
    }

    /// When time alone may next serve a resting bid.
    pub(crate) fn next_look(&self) -> Option<Time> {
        self.look
    }

    /// Bids past their deadline, in the order in which they are matched.
    pub(crate) fn eager(&self) -> impl ExactSizeIterator<Item = u64> {
        self.eager.iter().map(|(_, bid)| *bid)
    }

    /// Builds what can be computed from the bids.
    pub(crate) fn rebuild(&mut self) {
        for resting in std::mem::take(&mut self.resting).into_values() {
            self.insert(resting);
        }
    }

    fn insert(&mut self, resting: Resting) {
        for side in sides(&resting) {
            let rank = (Reverse(resting.limit), resting.id.sequence);
            self.sides.entry(side).or_default().insert(rank);
        }
        self.by_request.extend(resting.deferred.bid.request.map(|request| (request, resting.id.sequence)));
        self.resting.insert(resting.id.sequence, resting);
    }

    fn remove(&mut self, sequence: u64) -> Option<Resting> {
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

    /// How many bids of an account rest.
    fn count(&self, account: AccountId) -> usize {
        self.sides.get(&Side::Account(account)).map_or(0, BTreeSet::len)
    }

    /// Bids with limits from `price` up may be served: they are examined, unless there are none. A pass that has examined
    /// nobody yet only goes further down, so it does not matter in which order a command wakes them.
    fn trigger(&mut self, side: Side, price: Price) {
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

    /// The next bid of a pass.
    fn next_of(&self, side: Side, sweep: &Sweep) -> Option<(Price, u64)> {
        let from = sweep.after.map_or(Bound::Unbounded, |(limit, id)| Bound::Excluded((Reverse(limit), id)));
        let (Reverse(limit), id) = self.sides.get(&side)?.range((from, Bound::Unbounded)).next()?;
        (*limit >= sweep.floor).then_some((*limit, *id))
    }

    /// The next bid that the sweep of a side examines.
    fn next(&mut self, side: Side) -> Option<u64> {
        self.finish(side);
        let sweep = *self.sweeps.get(&side)?;
        let next = self.next_of(side, &sweep)?;
        self.sweeps.insert(side, Sweep { after: Some(next), ..sweep });
        Some(next.1)
    }

    /// Begins a pass that is over anew, if bids were woken meanwhile; a sweep without a bid left ends.
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

    /// Ends the sweeps that have nothing left to examine.
    pub(crate) fn finish_all(&mut self) {
        let sides: Vec<Side> = self.sweeps.keys().copied().collect();
        for side in sides {
            self.finish(side);
        }
    }
}

/// Where a bid is found: in each of its markets, and among its account's.
fn sides(resting: &Resting) -> impl Iterator<Item = Side> + use<'_> {
    let markets = resting.markets.iter().map(|market| Side::Market(*market));
    markets.chain([Side::Account(resting.deferred.bid.account)])
}

impl Sweep {
    /// What it means, for the digest.
    pub(crate) fn parts(&self) -> (Option<(Price, u64)>, Price, Option<Price>) {
        (self.after, self.floor, self.again)
    }
}
