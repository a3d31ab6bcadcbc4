//! Wakes of resting bids besides supply: time, the health of providers, and limits that allow more than before.

use merit_engine::{Lease, Resting};
use merit_terms::{AccountId, Period, ProviderId, Reason, Time};

use super::deferred::as_matched;
use super::health::{Back, Warm};
use super::{Offer, Twin};

impl Twin {
    /// Wakes the bids that any offer of the provider may serve again.
    pub(super) fn wake_provider(&mut self, id: ProviderId, why: &'static str) {
        let its: Vec<Offer> = self.offers.iter().filter(|offer| offer.provider == id).cloned().collect();
        let concerned = its.iter().filter(|offer| self.trigger(offer.market, offer.price())).count();
        self.note(concerned > 0, why);
    }

    /// Wakes the bids of an account that may buy again.
    pub(super) fn wake_account(&mut self, id: AccountId, why: &'static str) {
        let concerned = self.trigger_account(id);
        self.note(concerned, why);
    }

    fn note(&mut self, concerned: bool, why: &'static str) {
        self.woken.extend(concerned.then_some(why));
    }

    /// Returns the next midnight or end of a pause that was not looked at yet, while bids rest.
    pub(super) fn next_look(&self) -> Option<Time> {
        let midnight = Time::start_of(Period::Day, self.looked.period(Period::Day) + 1);
        let behind = self.backs.iter().filter(|back| back.is_behind());
        let ends = behind
            .map(Back::pause_ends)
            .chain(self.warms.iter().map(Warm::pause_ends))
            .filter(|end| *end > self.looked);
        ends.chain([midnight]).min().filter(|_| !self.resting.is_empty())
    }

    /// Wakes the bids that time alone may have made matchable.
    pub(super) fn look(&mut self, time: Time) {
        self.looked = time;
        let is_over = |back: &&Back| back.is_behind() && back.pause_ends() == time;
        let warm = self.warms.iter().filter(|warm| warm.pause_ends() == time).map(Warm::provider);
        let ended: Vec<ProviderId> = self.backs.iter().filter(is_over).map(|back| back.provider).chain(warm).collect();
        ended.into_iter().for_each(|provider| self.wake_provider(provider, "woken by the end of a pause"));
        if time == Time::start_of(Period::Day, time.period(Period::Day)) {
            let concerned = self.every_market().filter(|market| self.trigger(*market, Default::default())).count();
            self.note(concerned > 0, "woken by a new day");
        }
    }

    /// Wakes bids for a lease that exposes its provider no longer.
    pub(super) fn wake_exposed(&mut self, ended: &Lease) {
        let most = self.providers[ended.provider.index()].limits.exposure;
        if most.is_some_and(|most| self.exposure(ended.provider) <= u128::from(most.picodollars())) {
            self.wake_provider(ended.provider, "woken by exposure");
        }
    }

    /// Wakes bids for a lease that was the last that its account or function may run at once.
    pub(super) fn wake_concurrent(&mut self, ended: &Lease) {
        let of_account = (self.running_of(ended.account), self.accounts[ended.account.index()].limits.max_concurrency);
        let settings = &self.functions[ended.function.index()].settings;
        let of_function = (self.running(ended.function), settings.max_concurrency);
        if [of_account, of_function].into_iter().any(|(running, most)| most == Some(running + 1)) {
            self.wake_account(ended.account, "woken by concurrency");
        }
    }
    /// Lists the obstacles of a resting bid; none if an offer in its markets would serve it now.
    pub(crate) fn obstacles_to(&self, resting: &Resting) -> Option<Vec<Reason>> {
        let bid = as_matched(resting);
        if !self.may_match(resting) || self.check_concurrency(&bid).is_err() {
            return Some(Vec::new());
        }
        let Ok(decision) = self.decide(self.last_at, &bid, Some(resting)) else { return Some(Vec::new()) };
        let serves = decision.ranked.iter().any(|offer| resting.markets.contains(&offer.market));
        (!serves).then(|| decision.refused.into_iter().flat_map(|(_, reasons)| reasons).collect())
    }
}
