//! The life of a lease: granted, then settled, released, or expired at its two deadlines.

use merit_engine::{Bid, Grant, Lease, LeaseState, ProviderKind, Reply, Settle, Settlement};
use merit_terms::{Execution, LeaseId, Money, Outcome, Refusal, Time, Usage};

use super::durations::{History, median, moved, ratio};
use super::{OpenLease, Twin};

impl Twin {
    pub(super) fn acquire(&mut self, at: Time, sequence: u64, bid: &Bid) -> Result<Reply, Refusal> {
        let decision = self.decide(bid)?;
        let running = self.running(bid.function);
        if let Some(max_concurrency) = self.functions[bid.function.index()].settings.max_concurrency
            && running >= max_concurrency
        {
            return Err(Refusal::MaxConcurrency { running, max_concurrency });
        }
        let Some(winner) = decision.ranked.first().cloned() else {
            return Err(self.no_offer(&decision));
        };
        let runner_up = decision.ranked.iter().find(|other| other.provider != winner.provider);
        let offer = self.offers.iter().find(|offer| offer.id == winner.offer).expect("only live offers are ranked");
        let (pool, vcpus_milli) = (offer.rung.pool, offer.rung.vcpus_milli);
        let provider = &self.providers[winner.provider.index()];
        let id = LeaseId { run: self.run, sequence };
        let capacity_until = at.after_millis(u64::from(winner.timeout_ms) + 5_000);
        let lease = Lease {
            id,
            invocation: bid.invocation.unwrap_or(id),
            attempt: 1 + bid.tried.len() as u32,
            account: bid.account,
            function: bid.function,
            revision: decision.revision,
            provider: winner.provider,
            market: winner.market,
            offer: winner.offer,
            price: winner.price,
            tariff: winner.tariff,
            vcpus_milli,
            memory_mb: decision.memory_mb,
            timeout_ms: winner.timeout_ms,
            quoted_cost: winner.cost,
            hold: if provider.kind == ProviderKind::Market { winner.worst_cost } else { Money::ZERO },
            matched_at: at,
            capacity_until,
            settle_by: capacity_until.after_millis(600_000),
            runner_up: runner_up.map(|other| (other.provider, other.cost)),
            state: LeaseState::Running,
            on_prior: winner.on_prior,
        };
        let grant = Grant {
            lease: id,
            invocation: lease.invocation,
            attempt: lease.attempt,
            account: lease.account,
            function: lease.function,
            revision: lease.revision,
            provider: lease.provider,
            session: provider.session,
            market: lease.market,
            memory_mb: lease.memory_mb,
            timeout_ms: lease.timeout_ms,
            tariff: lease.tariff,
            quoted_cost: lease.quoted_cost,
            expires: lease.capacity_until,
        };
        // What was matched goes to the back, with what ties with it in its ladder.
        for offer in &mut self.offers {
            let ladder = offer.provider == winner.provider && offer.market == winner.market;
            if ladder && offer.rung.tariff == winner.tariff {
                offer.place = sequence;
            }
        }
        self.leases.push(OpenLease { lease, pool, has_capacity: true });
        Ok(Reply::Granted(Box::new(grant)))
    }

    fn position(&self, id: LeaseId) -> Result<usize, Refusal> {
        let is_open = |open: &OpenLease| open.lease.id == id && open.lease.state != LeaseState::Unknown;
        self.leases.iter().position(is_open).ok_or(Refusal::Closed)
    }

    pub(super) fn settle(&mut self, settle: &Settle) -> Result<Reply, Refusal> {
        match settle.execution {
            Execution::Executed => self.settle_executed(settle),
            Execution::NotSent => self.release(settle.lease, false).map(|()| Reply::Done),
            Execution::Unknown => self.settle_unknown(settle.lease).map(|()| Reply::Done),
        }
    }

    fn settle_executed(&mut self, settle: &Settle) -> Result<Reply, Refusal> {
        let index = self.position(settle.lease)?;
        let lease = self.leases.remove(index).lease;
        let metered = Usage::metered(settle.reported, settle.observed_us, lease.timeout_ms, settle.egress_bytes);
        let provider = &self.providers[lease.provider.index()];
        let (seller, kind) = (provider.account, provider.kind);
        let bill = lease.tariff.cost(lease.memory_mb, lease.vcpus_milli, &metered.usage);
        let (cost, fee) = match kind {
            ProviderKind::Own => (bill, Money::ZERO),
            ProviderKind::Market => (bill.min(lease.hold), bill.min(lease.hold).share(self.fee_basis_points)),
        };
        if kind == ProviderKind::Market {
            self.pay(lease.account, seller, cost, fee);
        }
        if !metered.estimated && [Outcome::Ok, Outcome::Timeout].contains(&settle.outcome) {
            self.learn(&lease, &metered.usage);
        }
        let market = &mut self.markets[lease.market.index()];
        market.trades += 1;
        if cost > Money::ZERO && seller != lease.account {
            market.spot_price = Some(lease.price);
        }
        Ok(Reply::Settled(Settlement {
            cost,
            fee,
            billed_ms: lease.tariff.billed_ms(&metered.usage),
            usage: metered.usage,
            estimated: metered.estimated,
        }))
    }

    /// The hold closes at once; what was sent keeps its capacity until its deadline.
    fn settle_unknown(&mut self, id: LeaseId) -> Result<(), Refusal> {
        let index = self.position(id)?;
        let open = &mut self.leases[index];
        open.lease.hold = Money::ZERO;
        open.lease.state = LeaseState::Unknown;
        if !open.has_capacity {
            self.leases.remove(index);
        }
        Ok(())
    }

    pub(super) fn release(&mut self, id: LeaseId, busy: bool) -> Result<(), Refusal> {
        let index = self.position(id)?;
        let open = self.leases.remove(index);
        if busy && open.has_capacity {
            self.busy(open.lease.provider, open.pool)?;
        }
        Ok(())
    }

    pub(crate) fn next_due(&self) -> Option<Time> {
        self.leases.iter().map(OpenLease::due).min()
    }

    /// What is due, in order of time and sequence, at most 64; whether anything was.
    pub(super) fn expire(&mut self, at: Time) -> bool {
        for ran in 0..64 {
            let order = |(_, open): &(usize, &OpenLease)| (open.due(), open.lease.id.sequence);
            let due = self.leases.iter().enumerate().filter(|(_, open)| open.due() <= at).min_by_key(order);
            let Some((index, open)) = due.map(|(index, open)| (index, open.clone())) else {
                return ran > 0;
            };
            if open.has_capacity && open.lease.state == LeaseState::Running {
                self.leases[index].has_capacity = false;
                self.leases[index].lease.state = LeaseState::Overdue;
            } else {
                self.leases.remove(index);
            }
        }
        true
    }

    fn learn(&mut self, lease: &Lease, usage: &Usage) {
        let histories = &mut self.functions[lease.function.index()].revisions[lease.revision as usize - 1].histories;
        match histories.iter_mut().find(|(provider, _)| *provider == lease.provider) {
            Some((_, history)) => history.learn(usage),
            None => histories.push((lease.provider, History::first(usage))),
        }
        let walls = |own: bool| {
            let of = histories.iter().filter(move |(provider, _)| (*provider == lease.provider) == own);
            of.map(|(_, history)| history.wall).collect::<Vec<_>>()
        };
        if let (Some(wall), Some(others)) = (median(walls(true)), median(walls(false))) {
            let general = &mut self.providers[lease.provider.index()].general_ratio;
            *general = moved(*general, ratio(wall, others));
        }
    }
}

impl OpenLease {
    fn due(&self) -> Time {
        if self.has_capacity { self.lease.capacity_until } else { self.lease.settle_by }
    }
}
