//! Wakes: supply, time, the health of providers, and raised limits make resting bids look at the market again.
//!
//! A change of a seller wakes the bids of markets, from its price up; a change of a buyer wakes its bids alone. Time
//! has one entry among the deadlines, and only while bids rest: the next midnight or end of a pause.

use merit_terms::{AccountId, MarketId, Period, Price, ProviderId, Time};

use super::resting::Side;
use crate::Engine;
use crate::deadlines::Deadline;
use crate::event::Lease;
use crate::turn::Turn;

impl Engine {
    /// Wakes bids wherever the shelf has more supply.
    pub(crate) fn wake_bids(&mut self) {
        for (market, price) in self.shelf.take_woken() {
            self.bids.wake(Side::Market(market), price);
        }
    }

    /// Wakes all bids of some markets.
    pub(crate) fn wake_markets(&mut self, markets: impl IntoIterator<Item = MarketId>) {
        for market in markets {
            self.bids.wake(Side::Market(market), Price::ZERO);
        }
    }

    pub(crate) fn wake_all_markets(&mut self) {
        let markets = self.registry.markets().len() as u32;
        self.wake_markets((0..markets).map(MarketId::new));
    }

    /// Wakes the bids that any offer of a provider may serve.
    pub(crate) fn wake_provider(&mut self, provider: ProviderId) {
        if self.shelf.is_watched() {
            self.shelf.wake_offers(provider, |_| true);
            self.wake_bids();
        }
    }

    /// Wakes the bids of an account: it may buy more than before.
    pub(crate) fn wake_account(&mut self, account: AccountId) {
        self.bids.wake(Side::Account(account), Price::ZERO);
    }

    /// Wakes the bids that a provider may serve, if it is within its exposure after a lease ended.
    pub(crate) fn wake_exposed(&mut self, provider: ProviderId) {
        if self.registry.provider(provider).is_within_exposure() {
            self.wake_provider(provider);
        }
    }

    /// Wakes the bids of an account if a lease that ended was the last that it or its function may run at once.
    pub(crate) fn wake_concurrent(&mut self, lease: &Lease) {
        let (account, function) = (self.ledger.account(lease.account), self.registry.function(lease.function));
        if account.limits.max_concurrency == Some(account.running + 1)
            || function.settings.max_concurrency == Some(function.running + 1)
        {
            self.wake_account(lease.account);
        }
    }

    /// Begins to look at what time brings: the first bid rests.
    pub(super) fn begin_looking(&mut self, turn: &mut Turn<'_>, at: Time) {
        self.shelf.set_watched(true);
        self.bids.set_looked(at);
        self.look_next(turn);
    }

    /// Ends the looks: no bid rests.
    pub(super) fn end_looking(&mut self, turn: &mut Turn<'_>) {
        self.shelf.set_watched(false);
        self.bids.set_looked(Time::default());
        self.look_next(turn);
    }

    /// Sets the next moment that may make a resting bid matchable among the deadlines; none, if none rests.
    pub(crate) fn look_next(&mut self, turn: &mut Turn<'_>) {
        let next = self.shelf.is_watched().then(|| {
            let looked = self.bids.looked();
            let midnight = Time::start_of(Period::Day, looked.period(Period::Day) + 1);
            self.shelf.pauses().after(looked).map_or(midnight, |end| end.min(midnight))
        });
        if let Some(before) = self.bids.set_look(next) {
            turn.deadlines.remove(before, Deadline::Look);
        }
        if let Some(next) = next {
            turn.deadlines.insert(next, Deadline::Look);
        }
    }

    /// Wakes the bids that this moment may serve: the end of a pause, or midnight.
    pub(crate) fn look(&mut self, turn: &mut Turn<'_>, time: Time) {
        self.bids.set_looked(time);
        for provider in self.shelf.pauses().at(time) {
            self.wake_provider(provider);
        }
        if time == Time::start_of(Period::Day, time.period(Period::Day)) {
            self.wake_all_markets();
        }
        self.look_next(turn);
    }
}
