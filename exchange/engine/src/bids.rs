//! Deferred bids: limit orders that rest until supply appears, gets cheaper, frees or renews.
//!
//! Owns the bid side of the books. More supply in a market begins a sweep over its bids, best limit first, then oldest; each
//! command goes on with it for at most [`EXAMINED_MAX`] bids, and matches at most one, whose lease has its sequence.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use merit_terms::{AccountId, LeaseId, MarketId, Money, NoOffer, Price, Refusal, Time};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::command::{AtDeadline, Bid, Deferred, Qualifier, Reply};
use crate::due::Due;
use crate::event::{BidEnding, Ending, Event, LeaseState, Resting};
use crate::registry::{invalid, within};

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
    counts: BTreeMap<AccountId, u32>,
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
        self.by_market.clear();
        for resting in self.resting.values() {
            for market in &resting.markets {
                let rank = (Reverse(resting.limit), resting.id.sequence);
                self.by_market.entry(*market).or_default().insert(rank);
            }
        }
    }

    fn insert(&mut self, resting: Resting) {
        for market in &resting.markets {
            let rank = (Reverse(resting.limit), resting.id.sequence);
            self.by_market.entry(*market).or_default().insert(rank);
        }
        *self.counts.entry(resting.deferred.bid.account).or_default() += 1;
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

impl Engine {
    /// Begins sweeps where the shelf says that there is more supply.
    pub(crate) fn wake_bids(&mut self) {
        for (market, price) in std::mem::take(&mut self.shelf.woken) {
            self.bids.trigger(market, price);
        }
    }

    /// Begins sweeps in markets over all of their bids.
    pub(crate) fn wake_markets(&mut self, markets: impl IntoIterator<Item = MarketId>) {
        for market in markets {
            self.bids.trigger(market, Price::ZERO);
        }
    }

    pub(crate) fn defer(
        &mut self,
        at: Time,
        sequence: u64,
        deferred: &Deferred,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        if let Some(request) = deferred.bid.request {
            self.online(request.session)?;
        }
        self.check_bidder(&deferred.bid)?;
        let resting = self.checked(at, sequence, deferred)?;
        let bid = effective(&resting);
        let refusal = match self.best(&bid, at) {
            Ok(best) => {
                let grant = self.lease(at, sequence, &bid, &best, None, events);
                return Ok(Reply::Granted(Box::new(grant)));
            }
            Err(refusal) => refusal,
        };
        let waits = matches!(
            refusal,
            Refusal::NoOffer { class: NoOffer::Room | NoOffer::Eligible, .. } | Refusal::MaxConcurrency { .. }
        );
        if !waits {
            return Err(refusal);
        }
        if self.bids.counts.get(&resting.deferred.bid.account).is_some_and(|count| *count >= BIDS_MAX) {
            return Err(Refusal::OverLimit { limit: "resting bids", most: BIDS_MAX.into() });
        }
        self.affords(&resting)?;
        let id = resting.id;
        self.rest(resting, events);
        Ok(Reply::Resting(id))
    }

    /// The bid as it would rest.
    fn checked(&self, at: Time, sequence: u64, deferred: &Deferred) -> Result<Resting, Refusal> {
        let asked = self.asked(&deferred.bid, at)?;
        let bid = &deferred.bid;
        if bid.request.is_none() {
            return Err(invalid("request", "a deferred bid comes over a broker's stream"));
        }
        if bid.invocation.is_some() || !bid.tried.is_empty() {
            return Err(invalid("invocation", "a deferred bid is a first attempt"));
        }
        let Some(limit) = bid.limits.max_price else {
            return Err(invalid("max_price", "a deferred bid needs one: it is its limit in the book"));
        };
        if deferred.deadline <= at || deferred.deadline > at.after_millis(RESTS_MAX_MS) {
            return Err(invalid("deadline", format!("{} is not within the next 31 days", deferred.deadline)));
        }
        let code = &asked.revision.code;
        let hold = asked.max_cost().unwrap_or_else(|| bought(limit, code.memory_mb, code.timeout_ms));
        let patterns = (&bid.limits.markets, &asked.function.settings.limits.markets);
        let allowed = |market: &MarketId| {
            let name = &self.registry.markets[market.index()].name;
            within(patterns.0, name) && within(patterns.1, name)
        };
        let markets = asked.function.markets.iter().copied().filter(allowed).collect();
        Ok(Resting {
            id: LeaseId { run: self.run, sequence },
            deferred: deferred.clone(),
            revision: asked.number,
            memory_mb: code.memory_mb,
            limit,
            hold,
            rested_at: at,
            markets,
        })
    }

    /// Whether account and budgets cover what the bid would hold.
    fn affords(&self, resting: &Resting) -> Result<(), Refusal> {
        let lacks = |class| Err(self.no_offer(class));
        let bid = &resting.deferred.bid;
        let (account, function) =
            (&self.ledger.accounts[bid.account.index()], &self.registry.functions[bid.function.index()]);
        if account.available() < i128::from(resting.hold.picodollars()) {
            return lacks(NoOffer::Funds);
        }
        let of_function = function.settings.budgets.iter().map(|budget| (budget, &function.spending));
        let of_account = account.limits.budgets.iter().map(|budget| (budget, &account.spending));
        let left = of_function.chain(of_account).map(|(budget, spending)| spending.left(budget, &self.calendar));
        match left.min().is_some_and(|left| left < i128::from(resting.hold.picodollars())) {
            true => lacks(NoOffer::Budget),
            false => Ok(()),
        }
    }

    /// Puts a bid into the books, with what it holds.
    fn rest(&mut self, resting: Resting, events: &mut Vec<Event>) {
        self.hold_for_bid(&resting, true);
        self.dues.insert((resting.deferred.deadline, Due::Bid(resting.id.sequence)));
        events.push(Event::BidRested(Box::new(resting.clone())));
        self.bids.insert(resting);
        self.shelf.watched = true;
    }

    /// Takes a bid out of the books, with its hold and its deadline.
    fn unrest(&mut self, sequence: u64) -> Option<Resting> {
        let resting = self.bids.remove(sequence)?;
        self.hold_for_bid(&resting, false);
        self.dues.remove(&(resting.deferred.deadline, Due::Bid(sequence)));
        self.shelf.watched = !self.bids.resting.is_empty();
        Some(resting)
    }

    fn hold_for_bid(&mut self, resting: &Resting, holds: bool) {
        let (bid, since, amount) = (&resting.deferred.bid, resting.rested_at, resting.hold);
        let account = self.ledger.of(bid.account);
        let function = &mut self.registry.functions[bid.function.index()];
        if holds {
            account.hold(amount);
        } else {
            account.unhold(amount);
        }
        for spending in [&mut account.spending, &mut function.spending] {
            if holds {
                spending.hold(amount, since, &self.calendar);
            } else {
                spending.unhold(amount, since, &self.calendar);
            }
        }
    }

    fn gone(&mut self, resting: Resting, how: BidEnding, events: &mut Vec<Event>) {
        events.push(Event::BidGone { resting: Box::new(resting), how });
    }

    pub(crate) fn cancel_bid(
        &mut self,
        account: AccountId,
        id: LeaseId,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let own = |resting: &&Resting| resting.id == id && resting.deferred.bid.account == account;
        if self.bids.resting.get(&id.sequence).filter(own).is_none() {
            return Err(Refusal::Closed);
        }
        if let Some(resting) = self.unrest(id.sequence) {
            self.gone(resting, BidEnding::Cancelled, events);
        }
        Ok(Reply::Done)
    }

    /// The deadline of a bid has come: it expires, or is matched at any price.
    pub(crate) fn bid_due(&mut self, sequence: u64, events: &mut Vec<Event>) {
        match self.bids.resting.get(&sequence).map(|resting| (resting.deferred.then, resting.deferred.deadline)) {
            None => {}
            Some((AtDeadline::Market, deadline)) => {
                self.bids.eager.insert((deadline, sequence));
            }
            Some((AtDeadline::Expire, _)) => {
                if let Some(resting) = self.unrest(sequence) {
                    self.gone(resting, BidEnding::Expired, events);
                }
            }
        }
    }

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
        let markets: Vec<MarketId> = self.bids.sweeps.keys().copied().collect();
        for market in markets {
            while examined < EXAMINED_MAX
                && let Some(bid) = self.bids.next(market)
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
        self.hold_for_bid(&resting, false);
        let found = self.best_of(&bid, at, resting.hold);
        self.hold_for_bid(&resting, true);
        self.bids.resting.insert(id, resting);
        let Ok(best) = found else { return false };
        let Some(resting) = self.unrest(id) else { return false };
        self.gone(resting.clone(), BidEnding::Matched, events);
        let grant = self.lease(at, sequence, &bid, &best, Some(Box::new(resting)), events);
        self.dues.insert((at.after_millis(TAKE_UP_WITHIN_MS), Due::TakeUp(sequence)));
        events.push(Event::Offered(Box::new(grant)));
        true
    }

    /// A broker dispatches the lease of a deferred bid.
    pub(crate) fn take_up(&mut self, id: LeaseId) -> Result<Reply, Refusal> {
        let state = self.leases.open.get(&id.sequence).filter(|open| open.lease.id == id).map(|open| open.lease.state);
        match state {
            Some(LeaseState::Offered) => self.taken_up(id.sequence),
            Some(LeaseState::Running) => {}
            _ => return Err(Refusal::Closed),
        }
        Ok(Reply::Done)
    }

    /// Nobody took a match up: its lease ends, and its bid rests again, unless its deadline has passed, or funds or budgets of
    /// a new day no longer cover it.
    pub(crate) fn not_taken_up(&mut self, at: Time, sequence: u64, events: &mut Vec<Event>) {
        let resting = self.leases.open.get_mut(&sequence).and_then(|open| open.resting.take());
        let Some(resting) = resting else { return };
        let Ok(lease) = self.close(sequence, Money::ZERO, None, events) else { return };
        self.registry.providers[lease.provider.index()].health.inconclusive(&lease);
        events.push(Event::Ended { lease: Box::new(lease), how: Ending::NotTakenUp });
        let (id, deadline) = (resting.id.sequence, resting.deferred.deadline);
        let resting = Resting { rested_at: at, ..*resting };
        let covered = self.affords(&resting).is_ok();
        let markets = resting.markets.clone();
        self.rest(resting, events);
        if deadline > at && covered {
            self.wake_markets(markets);
        } else if let Some(resting) = self.unrest(id) {
            self.gone(resting, BidEnding::Expired, events);
        }
    }
}

/// The bid that is matched: of the revision that was asked for, within what is held.
fn effective(resting: &Resting) -> Bid {
    let mut bid = resting.deferred.bid.clone();
    bid.qualifier = Qualifier::Revision(resting.revision);
    bid.limits.max_cost = Some(resting.hold);
    bid
}

/// Max price x memory x timeout, rounded up: what a bid without a max cost holds.
fn bought(limit: Price, memory_mb: u32, timeout_ms: u32) -> Money {
    let energy = u128::from(memory_mb) * u128::from(timeout_ms);
    let picodollars = (u128::from(limit.picodollars()) * energy).div_ceil(1024 * 1000);
    u64::try_from(picodollars).ok().and_then(Money::from_picodollars).unwrap_or(Money::MAX)
}
