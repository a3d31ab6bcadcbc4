//! A match: the best offer is leased, and all that follows from it.

use merit_engine::{Bid, Event, Grant, Lease, LeaseState, ProviderKind, Reply, Resting};
use merit_terms::{LeaseId, NoOffer, Refusal, Time};

use super::accounts::{money, picodollars};
use super::eligibility::Ranked;
use super::ranking::Decision;
use super::{OpenLease, Twin, invalid, quotas};

impl Twin {
    pub(super) fn acquire(&mut self, at: Time, sequence: u64, bid: &Bid) -> Result<Reply, Refusal> {
        if let Some(answered) = self.answered(bid)? {
            return Ok(answered);
        }
        self.check_bidder(bid)?;
        self.buy(at, sequence, bid, None).map(|grant| Reply::Granted(Box::new(grant)))
    }

    /// Answers a repeated request with its lease, or with its resting bid, even while that is offered a lease.
    pub(super) fn answered(&self, bid: &Bid) -> Result<Option<Reply>, Refusal> {
        let Some(request) = bid.request else { return Ok(None) };
        self.online_broker(request.session)?;
        let lease = self.leases.iter().find(|open| open.lease.request == Some(request));
        let resting = self.resting.iter().find(|rested| rested.resting.deferred.bid.request == Some(request));
        let granted = lease.map(|open| match open.lease.state {
            LeaseState::Offered => Reply::Resting(open.lease.invocation),
            _ => Reply::Granted(Box::new(self.grant_of(&open.lease))),
        });
        Ok(granted.or(resting.map(|rested| Reply::Resting(rested.resting.id))))
    }

    pub(super) fn check_bidder(&self, bid: &Bid) -> Result<(), Refusal> {
        if bid.limits.check().is_err() {
            return Err(invalid("limits"));
        }
        if self.account(bid.account)?.frozen {
            return Err(Refusal::Frozen { account: String::new() });
        }
        Ok(())
    }

    /// Leases the best offer for `bid`, which may have rested.
    pub(super) fn buy(
        &mut self,
        at: Time,
        sequence: u64,
        bid: &Bid,
        resting: Option<&Resting>,
    ) -> Result<Grant, Refusal> {
        let decision = self.decide(at, bid, resting)?;
        self.check_concurrency(bid)?;
        let Some(winner) = decision.ranked.first() else {
            let wait_us = decision.behind_until.map(|until| until.micros() - at.micros());
            return Err(self.no_offer(decision.lacks, wait_us.map(|wait_us| wait_us.div_ceil(1000))));
        };
        Ok(self.lease(at, sequence, bid, resting, &decision, winner))
    }

    /// Checks the function's limit first, then the account's.
    pub(super) fn check_concurrency(&self, bid: &Bid) -> Result<(), Refusal> {
        let of_function = (self.running(bid.function), self.functions[bid.function.index()].settings.max_concurrency);
        let of_account = (self.running_of(bid.account), self.accounts[bid.account.index()].limits.max_concurrency);
        for (running, most) in [of_function, of_account] {
            if let Some(max_concurrency) = most.filter(|most| running >= *most) {
                return Err(Refusal::MaxConcurrency { running, max_concurrency });
            }
        }
        Ok(())
    }

    /// Counts the leases that still take capacity.
    pub(crate) fn running(&self, function: merit_terms::FunctionId) -> u32 {
        self.leases.iter().filter(|open| open.has_capacity && open.lease.function == function).count() as u32
    }

    pub(super) fn running_of(&self, account: merit_terms::AccountId) -> u32 {
        self.leases.iter().filter(|open| open.has_capacity && open.lease.account == account).count() as u32
    }

    pub(super) fn no_offer(&self, class: NoOffer, retry_after_ms: Option<u64>) -> Refusal {
        let has_offer = |market| self.offers.iter().any(|offer| offer.market == market);
        let markets = self.every_market().filter(|market| has_offer(*market)).count() as u32;
        Refusal::NoOffer { class, offers: self.offers.len() as u32, markets, retry_after_ms }
    }

    fn lease(
        &mut self,
        at: Time,
        sequence: u64,
        bid: &Bid,
        resting: Option<&Resting>,
        decision: &Decision,
        winner: &Ranked,
    ) -> Grant {
        let runner_up = decision.ranked.iter().find(|other| other.provider != winner.provider);
        let offer = self.offers.iter().find(|offer| offer.id == winner.offer).expect("only live offers are ranked");
        let (pool, rung) = (offer.rung.pool, offer.rung.clone());
        let id = LeaseId { run: self.run, sequence };
        let capacity_until = at.after_millis(u64::from(winner.timeout_ms) + 5_000);
        let shared = self.covers(bid, None).shared(self.kind(winner.provider));
        let pot = money(shared.max(picodollars(winner.worst_cost)));
        let lease = Lease {
            id,
            invocation: resting.map(|resting| resting.id).or(bid.invocation).unwrap_or(id),
            attempt: 1 + bid.tried.len() as u32,
            account: bid.account,
            function: bid.function,
            revision: decision.revision,
            provider: winner.provider,
            market: winner.market,
            offer: winner.offer,
            price: winner.price,
            tariff: winner.tariff,
            vcpus_milli: rung.vcpus_milli,
            memory_mb: decision.memory_mb,
            timeout_ms: winner.timeout_ms,
            quoted_cost: winner.cost,
            worst_cost: winner.worst_cost,
            hold: match resting {
                Some(resting) => resting.hold,
                None => pot,
            },
            matched_at: at,
            capacity_until,
            settle_by: capacity_until.after_millis(600_000),
            runner_up: runner_up.map(|other| (other.provider, other.cost)),
            state: if resting.is_some() { LeaseState::Offered } else { LeaseState::Running },
            on_prior: winner.on_prior(),
            private: !self.is_seen_by_all(offer),
            claim: None,
            request: bid.request,
        };
        self.events.push(Event::Granted(Box::new(lease.clone())));
        if resting.is_none() && bid.invocation.is_some() {
            self.take_holds(&lease);
        }
        // The matched offer goes to the back, with the rungs of its ladder that tie with it.
        for offer in &mut self.offers {
            let ladder = offer.provider == winner.provider && offer.market == winner.market;
            if ladder && offer.rung.tariff == winner.tariff {
                offer.place = sequence;
            }
        }
        let reserve = quotas::reserve(&lease.tariff, lease.memory_mb, lease.timeout_ms);
        let draw = rung.quota.and_then(|name| self.draw(at, lease.provider, &name, reserve));
        self.begin_trial(&lease);
        self.serve(at, &lease);
        let grant = self.grant_of(&lease);
        self.leases.push(OpenLease {
            lease,
            pool,
            has_capacity: true,
            draw,
            bid: resting.cloned(),
            broke: None,
            costs_nothing: false,
            given_up: false,
        });
        self.protect(at, winner.provider);
        grant
    }

    fn serve(&mut self, at: Time, lease: &Lease) {
        let served = &mut self.providers[lease.provider.index()].served;
        served.retain(|(account, _)| *account != lease.account);
        served.push((lease.account, at));
        if self.serves_several(at, lease.provider) {
            self.providers[lease.provider.index()].shared = true;
        }
    }

    /// Returns whether the lease moves money: the buyer's own provider bills it directly.
    pub(super) fn moves_money(&self, lease: &Lease) -> bool {
        self.kind(lease.provider) == ProviderKind::Market
    }
}
