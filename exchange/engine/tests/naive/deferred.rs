//! Deferred bids: matched at once, or resting with all that they may cost held.

use merit_engine::{Bid, BidEnding, Deferred, Event, Qualifier, Reply, Resting};
use merit_terms::{AccountId, LeaseId, Limits, MarketId, MarketPattern, Money, NoOffer, Price, Refusal, Time};

use super::accounts::{money, picodollars};
use super::markets::Market;
use super::spending::exceeded;
use super::{Function, Twin, invalid};

const RESTS_AT_MOST_MS: u64 = 31 * 24 * 3_600_000;
const RESTING_MAX: usize = 100_000;

#[derive(Clone, Debug)]
pub(crate) struct Rested {
    pub(crate) resting: Resting,
    /// Its deadline has passed and it takes any price: it is matched next, or expires.
    pub(crate) eager: bool,
}

/// Returns the bid for a match: of a fixed revision, and with the hold as its max cost.
pub(super) fn as_matched(resting: &Resting) -> Bid {
    let bid = resting.deferred.bid.clone();
    let limits = Limits { max_cost: Some(resting.hold), ..bid.limits };
    Bid { qualifier: Qualifier::Revision(resting.revision), limits, ..bid }
}

impl Twin {
    pub(super) fn defer(&mut self, at: Time, sequence: u64, deferred: &Deferred) -> Result<Reply, Refusal> {
        let bid = &deferred.bid;
        if let Some(answered) = self.answered(bid)? {
            return Ok(answered);
        }
        self.check_bidder(bid)?;
        let (function, revision) = self.asked(bid)?;
        let limit = check(at, deferred)?;
        let code = &function.revisions[revision as usize - 1].code;
        let max_cost = bid.limits.max_cost.into_iter().chain(function.settings.limits.max_cost).min();
        let resting = Resting {
            id: LeaseId { run: self.run, sequence },
            deferred: deferred.clone(),
            revision,
            memory_mb: code.memory_mb,
            limit,
            hold: max_cost.unwrap_or_else(|| at_limit(limit, code.memory_mb, code.timeout_ms)),
            rested_at: at,
            markets: self.markets_of(bid, function),
        };
        match self.buy(at, sequence, &as_matched(&resting), None) {
            Ok(grant) => Ok(Reply::Granted(Box::new(grant))),
            Err(
                Refusal::NoOffer { class: NoOffer::Room | NoOffer::Behind | NoOffer::Eligible, .. }
                | Refusal::MaxConcurrency { .. },
            ) => {
                self.check_resting(at, &resting)?;
                let id = resting.id;
                self.rest(resting);
                Ok(Reply::Resting(id))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Refuses a bid whose hold the account cannot bear while it rests.
    fn check_resting(&self, at: Time, resting: &Resting) -> Result<(), Refusal> {
        let bid = &resting.deferred.bid;
        let of_account = self.resting.iter().filter(|rested| rested.resting.deferred.bid.account == bid.account);
        if of_account.count() >= RESTING_MAX {
            return Err(Refusal::OverLimit { limit: "resting bids", most: RESTING_MAX as u64 });
        }
        self.check_cover(at, resting)
    }

    /// Refuses a bid that funds and budgets do not cover while it rests.
    pub(super) fn check_cover(&self, at: Time, resting: &Resting) -> Result<(), Refusal> {
        let bid = &resting.deferred.bid;
        let hold = picodollars(resting.hold);
        if self.available(bid.account) < hold as i128 {
            return Err(self.no_offer(NoOffer::Funds, None));
        }
        let left = self.budgets_left(bid.account, bid.function, at);
        if exceeded(&left, |_| hold).is_empty() { Ok(()) } else { Err(self.no_offer(NoOffer::Budget, None)) }
    }

    pub(super) fn rest(&mut self, resting: Resting) {
        self.events.push(Event::BidRested(Box::new(resting.clone())));
        if self.resting.is_empty() {
            self.looked = resting.rested_at;
        }
        self.resting.push(Rested { resting, eager: false });
    }

    fn markets_of(&self, bid: &Bid, function: &Function) -> Vec<MarketId> {
        let patterns = [&function.settings.markets, &bid.limits.markets, &function.settings.limits.markets];
        let allows = |patterns: &Vec<MarketPattern>, market: MarketId| {
            let Market { name, deleted, .. } = &self.markets[market.index()];
            if *deleted {
                return false;
            }
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
        };
        self.every_market().filter(|market| patterns.iter().all(|patterns| allows(patterns, *market))).collect()
    }

    pub(super) fn cancel_bid(&mut self, account: AccountId, id: LeaseId) -> Result<(), Refusal> {
        let is_it = |rested: &Rested| rested.resting.id == id && rested.resting.deferred.bid.account == account;
        let index = self.resting.iter().position(is_it).ok_or(Refusal::Closed)?;
        self.leave(index, BidEnding::Cancelled);
        Ok(())
    }
}

/// Checks the fields of a deferred bid. Returns its limit.
fn check(at: Time, deferred: &Deferred) -> Result<Price, Refusal> {
    let bid = &deferred.bid;
    if bid.request.is_none() {
        return Err(invalid("request"));
    }
    if !bid.tried.is_empty() || bid.invocation.is_some() {
        return Err(invalid("invocation"));
    }
    let limit = bid.limits.max_price.ok_or_else(|| invalid("max_price"))?;
    if deferred.deadline <= at || deferred.deadline > at.after_millis(RESTS_AT_MOST_MS) {
        return Err(invalid("deadline"));
    }
    Ok(limit)
}

/// Returns the cost of the whole timeout at the limit, rounded up.
fn at_limit(limit: Price, memory_mb: u32, timeout_ms: u32) -> Money {
    let energy = u128::from(memory_mb) * u128::from(timeout_ms);
    money((u128::from(limit.picodollars()) * energy).div_ceil(1024 * 1000))
}
