//! The life of a deferred bid: matched at once or resting, cancelled, due, and resting again if its match is not taken
//! up.

use merit_terms::{AccountId, LeaseId, MarketId, Money, NoOffer, Price, Refusal};

use crate::Engine;
use crate::command::{AtDeadline, Bid, Deferred, Qualifier};
use crate::deadlines::Deadline;
use crate::event::{BidEnding, Ending, Event, LeaseState, Resting};
use crate::market::{invalid, within};
use crate::reply::Reply;
use crate::turn::Turn;

/// Maximum time that a bid may rest: 31 days, in milliseconds.
const RESTS_MAX_MS: u64 = 31 * 24 * 3600 * 1000;
/// Maximum resting bids of one account.
const BIDS_MAX: usize = 100_000;

impl Engine {
    /// Matches a deferred bid at once, or lets it rest.
    pub(crate) fn defer(&mut self, turn: &mut Turn<'_>, deferred: &Deferred) -> Result<Reply, Refusal> {
        if let Some(answered) = self.answered(&deferred.bid)? {
            return Ok(answered);
        }
        self.check_bidder(&deferred.bid)?;
        let resting = self.checked(turn, deferred)?;
        let bid = effective(&resting);
        let refusal = match self.best(&bid, turn.at) {
            Ok(best) => {
                let grant = self.lease(turn, &bid, &best, None);
                return Ok(Reply::Granted(Box::new(grant)));
            }
            Err(refusal) => refusal,
        };
        let waits = matches!(
            refusal,
            Refusal::NoOffer { class: NoOffer::Room | NoOffer::Behind | NoOffer::Eligible, .. }
                | Refusal::MaxConcurrency { .. }
        );
        if !waits {
            return Err(refusal);
        }
        if self.bids.count(resting.deferred.bid.account) >= BIDS_MAX {
            return Err(Refusal::OverLimit { limit: "resting bids", most: BIDS_MAX as u64 });
        }
        self.affords(&resting)?;
        let id = resting.id;
        self.rest(turn, resting);
        Ok(Reply::Resting(id))
    }

    /// Returns the bid as it would rest. Refuses one that may not.
    fn checked(&self, turn: &Turn<'_>, deferred: &Deferred) -> Result<Resting, Refusal> {
        let (at, sequence) = (turn.at, turn.sequence);
        let resolved = self.resolve(&deferred.bid, at)?;
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
        let code = &resolved.revision.code;
        let hold = resolved.max_cost().unwrap_or_else(|| bought(limit, code.memory_mb, code.timeout_ms));
        let patterns = (&bid.limits.markets, &resolved.function.settings.limits.markets);
        let allowed = |market: &MarketId| {
            let name = &self.registry.market(*market).name;
            within(patterns.0, name) && within(patterns.1, name)
        };
        let markets = resolved.function.markets().iter().copied().filter(allowed).collect();
        Ok(Resting {
            id: LeaseId { run: self.run, sequence },
            deferred: deferred.clone(),
            revision: resolved.number,
            memory_mb: code.memory_mb,
            limit,
            hold,
            rested_at: at,
            markets,
        })
    }

    /// Refuses a bid whose hold account and budgets do not cover.
    fn affords(&self, resting: &Resting) -> Result<(), Refusal> {
        let lacks = |class| Err(self.no_offer(class, None));
        let bid = &resting.deferred.bid;
        let (account, function) = (self.ledger.account(bid.account), self.registry.function(bid.function));
        if account.available() < i128::from(resting.hold.picodollars()) {
            return lacks(NoOffer::Funds);
        }
        let left = self.budgets_left(function, account).map(|(_, left)| left).min();
        match left.is_some_and(|left| left < i128::from(resting.hold.picodollars())) {
            true => lacks(NoOffer::Budget),
            false => Ok(()),
        }
    }

    /// Puts a bid into the books, with its hold and its deadline.
    fn rest(&mut self, turn: &mut Turn<'_>, resting: Resting) {
        self.hold_for(&resting);
        turn.deadlines.insert(resting.deferred.deadline, Deadline::Bid(resting.id.sequence));
        turn.tell(Event::BidRested(Box::new(resting.clone())));
        let at = resting.rested_at;
        self.bids.insert(resting);
        if !self.shelf.is_watched() {
            self.begin_looking(turn, at);
        }
    }

    /// Takes a bid out of the books, with its hold and its deadline.
    pub(super) fn unrest(&mut self, turn: &mut Turn<'_>, sequence: u64) -> Option<Resting> {
        let resting = self.bids.remove(sequence)?;
        self.unhold_for(&resting);
        turn.deadlines.remove(resting.deferred.deadline, Deadline::Bid(sequence));
        if self.bids.is_empty() {
            self.end_looking(turn);
        }
        Some(resting)
    }

    pub(super) fn hold_for(&mut self, resting: &Resting) {
        let (bid, since, amount) = (&resting.deferred.bid, resting.rested_at, resting.hold);
        self.ledger.hold(bid.account, amount, since, &self.calendar);
        self.registry.function_mut(bid.function).spending_mut().hold(amount, since, &self.calendar);
    }

    pub(super) fn unhold_for(&mut self, resting: &Resting) {
        let (bid, since, amount) = (&resting.deferred.bid, resting.rested_at, resting.hold);
        self.ledger.unhold(bid.account, amount, since, &self.calendar);
        self.registry.function_mut(bid.function).spending_mut().unhold(amount, since, &self.calendar);
    }

    pub(crate) fn cancel_bid(
        &mut self,
        turn: &mut Turn<'_>,
        account: AccountId,
        id: LeaseId,
    ) -> Result<Reply, Refusal> {
        let own = |resting: &&Resting| resting.id == id && resting.deferred.bid.account == account;
        if self.bids.get(id.sequence).filter(own).is_none() {
            return Err(Refusal::Closed);
        }
        self.drop_bid(turn, id.sequence, BidEnding::Cancelled);
        Ok(Reply::Done)
    }

    /// Takes a bid out of the books for good.
    pub(super) fn drop_bid(&mut self, turn: &mut Turn<'_>, sequence: u64, how: BidEnding) {
        if let Some(resting) = self.unrest(turn, sequence) {
            turn.tell(Event::BidGone { resting: Box::new(resting), how });
        }
    }

    /// Ends the rest of a bid at its deadline: it expires, or is matched at any price.
    pub(crate) fn bid_due(&mut self, turn: &mut Turn<'_>, sequence: u64) {
        match self.bids.get(sequence).map(|resting| (resting.deferred.then, resting.deferred.deadline)) {
            None => {}
            Some((AtDeadline::Market, deadline)) => self.bids.hurry(deadline, sequence),
            Some((AtDeadline::Expire, _)) => self.drop_bid(turn, sequence, BidEnding::Expired),
        }
    }

    /// Begins the run of a deferred bid's lease: its broker dispatches it.
    pub(crate) fn take_up(&mut self, turn: &mut Turn<'_>, id: LeaseId) -> Result<Reply, Refusal> {
        match self.leases.get(id).map(|open| open.lease.state) {
            Some(LeaseState::Offered) => self.taken_up(turn, id.sequence).map(|_| Reply::Done).ok_or(Refusal::Closed),
            Some(LeaseState::Running) => Ok(Reply::Done),
            _ => Err(Refusal::Closed),
        }
    }

    /// Ends a match that its broker did not take up. Its bid rests again, unless its deadline has passed, or funds or
    /// budgets of a new day no longer cover it.
    pub(crate) fn not_taken_up(&mut self, turn: &mut Turn<'_>, sequence: u64) {
        let Some(resting) = self.leases.take_resting(sequence) else { return };
        let Some(lease) = self.close(turn, sequence, Money::ZERO, None) else { return };
        self.inconclusive(&lease);
        turn.tell(Event::Ended { lease: Box::new(lease), how: Ending::NotTakenUp });
        let (id, deadline) = (resting.id.sequence, resting.deferred.deadline);
        let resting = Resting { rested_at: turn.at, ..*resting };
        let covered = self.affords(&resting).is_ok();
        let markets = resting.markets.clone();
        self.rest(turn, resting);
        if deadline > turn.at && covered {
            self.wake_markets(markets);
        } else {
            self.drop_bid(turn, id, BidEnding::Expired);
        }
    }
}

/// Returns the bid that is matched: for the revision that it rests with, within its hold.
pub(super) fn effective(resting: &Resting) -> Bid {
    let mut bid = resting.deferred.bid.clone();
    bid.qualifier = Qualifier::Revision(resting.revision);
    bid.limits.max_cost = Some(resting.hold);
    bid
}

/// Returns the hold of a bid without a max cost: max price x memory x timeout, rounded up.
fn bought(limit: Price, memory_mb: u32, timeout_ms: u32) -> Money {
    let energy = u128::from(memory_mb) * u128::from(timeout_ms);
    let picodollars = (u128::from(limit.picodollars()) * energy).div_ceil(1024 * 1000);
    u64::try_from(picodollars).ok().and_then(Money::from_picodollars).unwrap_or(Money::MAX)
}
