//! The life of a deferred bid: matched at once or resting, cancelled, due, and resting again where nobody took it up.

use merit_terms::{AccountId, LeaseId, MarketId, Money, NoOffer, Price, Refusal, Time};

use super::{BIDS_MAX, RESTS_MAX_MS};
use crate::Engine;
use crate::command::{AtDeadline, Bid, Deferred, Qualifier, Reply};
use crate::dues::Due;
use crate::event::{BidEnding, Ending, Event, LeaseState, Resting};
use crate::market::{invalid, within};

impl Engine {
    pub(crate) fn defer(
        &mut self,
        at: Time,
        sequence: u64,
        deferred: &Deferred,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        if let Some(answered) = self.answered(&deferred.bid)? {
            return Ok(answered);
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
        if self.bids.count(resting.deferred.bid.account) >= BIDS_MAX {
            return Err(Refusal::OverLimit { limit: "resting bids", most: BIDS_MAX as u64 });
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
        let left = self.budgets_left(function, account).map(|(_, left)| left).min();
        match left.is_some_and(|left| left < i128::from(resting.hold.picodollars())) {
            true => lacks(NoOffer::Budget),
            false => Ok(()),
        }
    }

    /// Puts a bid into the books, with what it holds.
    fn rest(&mut self, resting: Resting, events: &mut Vec<Event>) {
        self.hold_for(&resting);
        self.dues.insert((resting.deferred.deadline, Due::Bid(resting.id.sequence)));
        events.push(Event::BidRested(Box::new(resting.clone())));
        let at = resting.rested_at;
        self.bids.insert(resting);
        if !self.shelf.watched {
            self.begin_looking(at);
        }
    }

    /// Takes a bid out of the books, with its hold and its deadline.
    pub(super) fn unrest(&mut self, sequence: u64) -> Option<Resting> {
        let resting = self.bids.remove(sequence)?;
        self.unhold_for(&resting);
        self.dues.remove(&(resting.deferred.deadline, Due::Bid(sequence)));
        if self.bids.resting.is_empty() {
            self.end_looking();
        }
        Some(resting)
    }

    pub(super) fn hold_for(&mut self, resting: &Resting) {
        let (bid, since, amount) = (&resting.deferred.bid, resting.rested_at, resting.hold);
        let account = self.ledger.of(bid.account);
        account.hold(amount);
        account.spending.hold(amount, since, &self.calendar);
        self.registry.functions[bid.function.index()].spending.hold(amount, since, &self.calendar);
    }

    pub(super) fn unhold_for(&mut self, resting: &Resting) {
        let (bid, since, amount) = (&resting.deferred.bid, resting.rested_at, resting.hold);
        let account = self.ledger.of(bid.account);
        account.unhold(amount);
        account.spending.unhold(amount, since, &self.calendar);
        self.registry.functions[bid.function.index()].spending.unhold(amount, since, &self.calendar);
    }

    pub(super) fn gone(&mut self, resting: Resting, how: BidEnding, events: &mut Vec<Event>) {
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

    /// A broker dispatches the lease of a deferred bid.
    pub(crate) fn take_up(&mut self, id: LeaseId) -> Result<Reply, Refusal> {
        match self.leases.get(id).map(|open| open.lease.state) {
            Some(LeaseState::Offered) => self.taken_up(id.sequence).map(|_| Reply::Done).ok_or(Refusal::Closed),
            Some(LeaseState::Running) => Ok(Reply::Done),
            _ => Err(Refusal::Closed),
        }
    }

    /// Nobody took a match up: its lease ends, and its bid rests again, unless its deadline has passed, or funds or budgets of
    /// a new day no longer cover it.
    pub(crate) fn not_taken_up(&mut self, at: Time, sequence: u64, events: &mut Vec<Event>) {
        let resting = self.leases.open.get_mut(&sequence).and_then(|open| open.resting.take());
        let Some(resting) = resting else { return };
        let Some(lease) = self.close(sequence, Money::ZERO, None, events) else { return };
        self.inconclusive(&lease);
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
pub(super) fn effective(resting: &Resting) -> Bid {
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
