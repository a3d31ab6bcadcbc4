//! Deferred bids: limit orders that rest until supply appears, gets cheaper, frees or renews.
//!
//! Owns the bid side of the books. More supply in a market begins a sweep over its bids, best limit first, then oldest; each
//! command goes on with it for at most [`EXAMINED_MAX`] bids, and matches at most one, whose lease has its sequence. What
//! becomes of a bid is `deferred`; who is examined and matched is `sweeps`.

mod deferred;
mod sweeps;

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
const BIDS_MAX: u32 = 100_000;

/// Best limit first, then oldest.
type Rank = (Reverse<Price>, u64);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bids {
    pub(crate) resting: BTreeMap<u64, Resting>,
    /// Bids past their deadline that are matched at any price, or expire.
    eager: BTreeSet<(Time, u64)>,
    sweeps: BTreeMap<MarketId, Sweep>,
    #[serde(skip)]
    counts: BTreeMap<AccountId, u32>,
    #[serde(skip)]
    pub(crate) by_request: BTreeMap<BrokerRequest, u64>,
    #[serde(skip)]
    by_market: BTreeMap<MarketId, BTreeSet<Rank>>,
}

/// A pass over a market's bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// The bid examined last: its limit and sequence.
    after: Option<(Price, u64)>,
    /// Bids with a lower limit need not be examined.
    floor: Price,
    /// There was more supply meanwhile, at this price: another pass follows.
    again: Option<Price>,
}

impl Bids {
    pub(crate) fn is_pending(&self) -> bool {
        !self.sweeps.is_empty() || !self.eager.is_empty()
    }

    pub(crate) fn sweeps(&self) -> impl ExactSizeIterator<Item = (MarketId, &Sweep)> {
        self.sweeps.iter().map(|(market, sweep)| (*market, sweep))
    }

    /// Bids past their deadline, in the order in which they are matched.
    pub(crate) fn eager(&self) -> impl ExactSizeIterator<Item = u64> {
        self.eager.iter().map(|(_, bid)| *bid)
    }

    /// Builds what can be computed from the bids.
    pub(crate) fn rebuild(&mut self) {
        self.counts.clear();
        for resting in std::mem::take(&mut self.resting).into_values() {
            self.insert(resting);
        }
    }

    fn insert(&mut self, resting: Resting) {
        for market in &resting.markets {
            let rank = (Reverse(resting.limit), resting.id.sequence);
            self.by_market.entry(*market).or_default().insert(rank);
        }
        *self.counts.entry(resting.deferred.bid.account).or_default() += 1;
        self.by_request.extend(resting.deferred.bid.request.map(|request| (request, resting.id.sequence)));
        self.resting.insert(resting.id.sequence, resting);
    }

    fn remove(&mut self, sequence: u64) -> Option<Resting> {
        let resting = self.resting.remove(&sequence)?;
        for market in &resting.markets {
            if let Some(bids) = self.by_market.get_mut(market) {
                bids.remove(&(Reverse(resting.limit), sequence));
                if bids.is_empty() {
                    self.by_market.remove(market);
                }
            }
        }
        self.eager.remove(&(resting.deferred.deadline, sequence));
        if let Some(request) = resting.deferred.bid.request {
            self.by_request.remove(&request);
        }
        let account = resting.deferred.bid.account;
        if let Some(count) = self.counts.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&account);
            }
        }
        Some(resting)
    }

    /// There is more supply at `price`: the bids that it may serve are examined, unless there are none.
    pub(crate) fn trigger(&mut self, market: MarketId, price: Price) {
        let best = self.by_market.get(&market).and_then(BTreeSet::first);
        if best.is_none_or(|(Reverse(limit), _)| *limit < price) {
            return;
        }
        match self.sweeps.get_mut(&market) {
            Some(sweep) => sweep.again = Some(sweep.again.map_or(price, |again| again.min(price))),
            None => {
                self.sweeps.insert(market, Sweep { after: None, floor: price, again: None });
            }
        }
    }

    /// The next bid of a pass.
    fn next_of(&self, market: MarketId, sweep: &Sweep) -> Option<(Price, u64)> {
        let from = sweep.after.map_or(Bound::Unbounded, |(limit, id)| Bound::Excluded((Reverse(limit), id)));
        let (Reverse(limit), id) = self.by_market.get(&market)?.range((from, Bound::Unbounded)).next()?;
        (*limit >= sweep.floor).then_some((*limit, *id))
    }

    /// The next bid that the sweep of a market examines.
    fn next(&mut self, market: MarketId) -> Option<u64> {
        self.finish(market);
        let sweep = *self.sweeps.get(&market)?;
        let next = self.next_of(market, &sweep)?;
        self.sweeps.insert(market, Sweep { after: Some(next), ..sweep });
        Some(next.1)
    }

    /// Begins a pass that is over anew, if there was more supply meanwhile; a sweep without a bid left ends.
    fn finish(&mut self, market: MarketId) {
        let Some(mut sweep) = self.sweeps.get(&market).copied() else { return };
        if let Some(floor) = sweep.again
            && self.next_of(market, &sweep).is_none()
        {
            sweep = Sweep { after: None, floor, again: None };
            self.sweeps.insert(market, sweep);
        }
        if self.next_of(market, &sweep).is_none() {
            self.sweeps.remove(&market);
        }
    }

    /// Ends the sweeps that have nothing left to examine.
    pub(crate) fn finish_all(&mut self) {
        let markets: Vec<MarketId> = self.sweeps.keys().copied().collect();
        for market in markets {
            self.finish(market);
        }
    }
}

impl Sweep {
    /// What it means, for the digest.
    pub(crate) fn parts(&self) -> (Option<(Price, u64)>, Price, Option<Price>) {
        (self.after, self.floor, self.again)
    }
}
