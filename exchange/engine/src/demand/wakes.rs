//! What makes resting bids look at the market again: supply, time, the health of providers, and limits that allow more.
//!
//! What concerns sellers wakes the bids of markets, from the price at hand up; what concerns one buyer wakes its bids alone.
//! Time has one entry among what is due, and only while bids rest: the next midnight or end of a back-off.

use merit_terms::{AccountId, MarketId, Period, Price, ProviderId, Time};

use super::Side;
use crate::Engine;
use crate::dues::Due;
use crate::event::Lease;

impl Engine {
    /// Begins sweeps where the shelf says that there is more supply.
    pub(crate) fn wake_bids(&mut self) {
        for (market, price) in std::mem::take(&mut self.shelf.woken) {
            self.bids.trigger(Side::Market(market), price);
        }
    }

    /// Begins sweeps in markets over all of their bids.
    pub(crate) fn wake_markets(&mut self, markets: impl IntoIterator<Item = MarketId>) {
        for market in markets {
            self.bids.trigger(Side::Market(market), Price::ZERO);
        }
    }

    pub(crate) fn wake_all_markets(&mut self) {
        let markets = self.registry.markets.len() as u32;
        self.wake_markets((0..markets).map(MarketId::new));
    }

    /// All that a provider offers may serve again.
    pub(crate) fn wake_provider(&mut self, provider: ProviderId) {
        if self.shelf.watched {
            self.shelf.wake_offers(provider, |_| true);
            self.wake_bids();
        }
    }

    /// An account may buy what it could not.
    pub(crate) fn wake_account(&mut self, account: AccountId) {
        self.bids.trigger(Side::Account(account), Price::ZERO);
    }

    /// A lease that ended exposes its provider no longer.
    pub(crate) fn wake_exposed(&mut self, provider: ProviderId) {
        let Some(of) = self.registry.providers.get(provider.index()) else { return };
        if of.limits.exposure.is_some_and(|most| of.exposure <= u128::from(most.picodollars())) {
            self.wake_provider(provider);
        }
    }

    /// A lease gave back its capacity: if it ran as the last that account or function may have at once, another may begin.
    pub(crate) fn wake_concurrent(&mut self, lease: &Lease) {
        let account = &self.ledger.accounts[lease.account.index()];
        let function = &self.registry.functions[lease.function.index()];
        if account.limits.max_concurrency == Some(account.running + 1)
            || function.settings.max_concurrency == Some(function.running + 1)
        {
            self.wake_account(lease.account);
        }
    }

    /// The first bid rests: what time brings from here on is looked at.
    pub(super) fn begin_looking(&mut self, at: Time) {
        self.shelf.watched = true;
        self.bids.looked = at;
        self.look_next();
    }

    /// No bid rests: nothing is looked for.
    pub(super) fn end_looking(&mut self) {
        self.shelf.watched = false;
        self.look_next();
    }

    /// Puts the next moment that may make a resting bid matchable among what is due; none, if none rests.
    pub(crate) fn look_next(&mut self) {
        if let Some(due) = self.bids.look.take() {
            self.dues.remove(&(due, Due::Look));
        }
        if self.shelf.watched {
            let looked = self.bids.looked;
            let midnight = Time::start_of(Period::Day, looked.period(Period::Day) + 1);
            let next = self.registry.recoveries.after(looked).map_or(midnight, |end| end.min(midnight));
            self.dues.insert((next, Due::Look));
            self.bids.look = Some(next);
        }
    }

    /// That moment has come.
    pub(crate) fn look(&mut self, time: Time) {
        self.bids.looked = time;
        for provider in self.registry.recoveries.at(time) {
            self.wake_provider(provider);
        }
        if time == Time::start_of(Period::Day, time.period(Period::Day)) {
            self.wake_all_markets();
        }
        self.look_next();
    }
}
