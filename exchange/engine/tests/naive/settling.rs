//! Settlements, and the unpaid ends that a broker reports.

use merit_engine::{Adapter, Ending, Event, FEES, LOSSES, Lease, LeaseState, NotSent, Reply, Settle, Settlement, Why};
use merit_terms::{Execution, LeaseId, Metered, Money, Outcome, Refusal, Time, Usage};

use super::Twin;
use super::accounts::{money, picodollars};
use super::holds::is_same_call;

impl Twin {
    pub(super) fn settle(&mut self, at: Time, settle: &Settle) -> Result<Reply, Refusal> {
        match settle.execution {
            Execution::Executed => self.settle_executed(at, settle),
            Execution::NotSent => self.release(at, settle.lease, NotSent::Withdrawn).map(|()| Reply::Done),
            Execution::Unknown => self.settle_unknown(at, settle).map(|()| Reply::Done),
        }
    }

    /// Returns the lease if its broker may still end it; one that was only offered is thereby taken up.
    fn open(&mut self, id: LeaseId) -> Result<usize, Refusal> {
        let Some(index) = self.position(id) else {
            return Err(if self.is_forgotten(id) { Refusal::Forgotten } else { Refusal::Closed });
        };
        if self.leases[index].lease.state == LeaseState::Unknown {
            return Err(Refusal::Closed);
        }
        if self.leases[index].lease.state == LeaseState::Offered {
            self.take_up(id)?;
        }
        Ok(index)
    }

    fn settle_executed(&mut self, at: Time, settle: &Settle) -> Result<Reply, Refusal> {
        let index = self.open(settle.lease)?;
        let lease = self.leases[index].lease.clone();
        let reported = settle.reported.or(lease.claim);
        let metered = self.metered(&lease, reported, settle);
        let most = if self.moves_money(&lease) { lease.hold } else { lease.worst_cost };
        let settlement = self.bill(&lease, metered, most);
        self.remove(at, index, settlement.cost, Some(settlement.billed_ms));
        self.pay(at, &lease, &settlement, settlement.cost);
        self.teach(at, &lease, settle, &metered);
        if !settle.fault {
            self.end_warming(&lease);
            let back = self.recover(&lease);
            if settle.outcome == Outcome::Ok && !settle.server_error {
                back.into_iter().for_each(|revision| self.teach_return(lease.provider, revision));
            }
        }
        self.end_trial(lease.id);
        self.trade(&lease, settle.outcome, settlement);
        self.give_up(at, &self.attempts(&lease));
        Ok(Reply::Settled(settlement))
    }

    /// Bills the usage on the lease's terms, at most `most`, with the fee on it.
    pub(super) fn bill(&self, lease: &Lease, metered: Metered, most: Money) -> Settlement {
        let cost = lease.tariff.cost(lease.memory_mb, lease.vcpus_milli, &metered.usage).min(most);
        Settlement {
            cost,
            fee: if self.moves_money(lease) { cost.share(self.fee_basis_points) } else { Money::ZERO },
            billed_ms: lease.tariff.billed_ms(&metered.usage),
            usage: metered.usage,
            estimated: metered.estimated,
        }
    }

    /// Pays the seller: the buyer gives `by_buyer`, the operator the rest, and the seller gives the operator the fee.
    pub(super) fn pay(&mut self, at: Time, lease: &Lease, settlement: &Settlement, by_buyer: Money) {
        let (id, invocation) = (lease.id, lease.invocation);
        let seller = self.providers[lease.provider.index()].account;
        if self.moves_money(lease) {
            self.transfer(lease.account, seller, by_buyer, Why::Cost { lease: id, invocation });
            let rest = settlement.cost.saturating_sub(by_buyer);
            self.transfer(LOSSES, seller, rest, Why::Loss { lease: id, invocation });
            self.transfer(seller, FEES, settlement.fee, Why::Fee { lease: id, invocation });
        }
        self.count_payment(at, lease, by_buyer);
    }

    /// Records a trade of an executed lease. A public one counts in its market, and makes
    /// the last price if it cost another account something.
    pub(super) fn trade(&mut self, lease: &Lease, outcome: Outcome, settlement: Settlement) {
        let seller = self.providers[lease.provider.index()].account;
        let market = &mut self.markets[lease.market.index()];
        if !lease.private {
            market.trades += 1;
            if settlement.cost > Money::ZERO && seller != lease.account {
                market.last_price = Some(lease.price);
            }
        }
        let last_price = market.last_price;
        self.events.push(Event::Settled { lease: Box::new(lease.clone()), outcome, settlement, last_price, seller });
    }

    /// The hold stays for a claim; what was sent keeps its capacity until its deadline.
    fn settle_unknown(&mut self, at: Time, settle: &Settle) -> Result<(), Refusal> {
        let known = self.position(settle.lease).map(|index| self.leases[index].lease.clone());
        if let Some(lease) = known.filter(|lease| settle.given_up && lease.state == LeaseState::Unknown) {
            self.give_up(at, &self.attempts(&lease));
            return Ok(());
        }
        let index = self.open(settle.lease)?;
        self.leases[index].broke = Some((settle.observed_us, settle.fault));
        let lease = &mut self.leases[index].lease;
        lease.state = LeaseState::Unknown;
        let lease = lease.clone();
        self.events.push(Event::Ended { lease: Box::new(lease.clone()), how: Ending::Unknown });
        if settle.fault {
            self.teach_failure(at, &lease);
            self.fault(at, &lease);
        }
        self.end_trial(lease.id);
        if self.providers[lease.provider.index()].adapter == Adapter::Http {
            let nothing = Lease { hold: Money::ZERO, worst_cost: Money::ZERO, ..lease.clone() };
            self.leases[index].lease = nothing;
            self.leases[index].costs_nothing = true;
            self.pass_on(&lease, picodollars(lease.hold));
            self.wake_exposed(&lease);
        }
        if settle.given_up {
            self.give_up(at, &self.attempts(&lease));
        }
        Ok(())
    }

    /// Pays what is claimed for attempts without an answer, now or as soon as it is claimed.
    pub(super) fn give_up(&mut self, at: Time, attempts: &[LeaseId]) {
        for id in attempts {
            let Some(index) = self.position(*id) else { continue };
            let lease = self.leases[index].lease.clone();
            if lease.state != LeaseState::Unknown {
                continue;
            }
            self.leases[index].given_up = true;
            let has_later = self.leases.iter().map(|open| &open.lease).any(|other| {
                let later = is_same_call(other, &lease) && other.id.sequence > lease.id.sequence;
                later && other.state != LeaseState::Unknown
            });
            if let Some(claim) = lease.claim.filter(|_| !has_later) {
                self.pay_claim(at, index, claim);
            }
        }
    }

    pub(super) fn release(&mut self, at: Time, id: LeaseId, why: NotSent) -> Result<(), Refusal> {
        let index = self.open(id)?;
        let ended = self.remove(at, index, Money::ZERO, None);
        let lease = ended.lease;
        if why == NotSent::Busy && ended.has_capacity {
            self.busy(lease.provider, ended.pool)?;
        }
        if let NotSent::Warming { retry_after_s } = why {
            self.begin_warming(at, &lease, retry_after_s);
        }
        if why == NotSent::Replaced {
            self.teach_loss(at, &lease);
        }
        if why == NotSent::Failed {
            self.teach_failure(at, &lease);
            self.fault(at, &lease);
        }
        self.end_trial(lease.id);
        self.events.push(Event::Ended { lease: Box::new(lease.clone()), how: Ending::NotSent });
        let mut given_up = self.attempts(&lease);
        given_up.retain(|id| self.leases.iter().any(|open| open.lease.id == *id && open.given_up));
        self.give_up(at, &given_up);
        Ok(())
    }

    /// Pays the claim of an unsettled lease out of the rest of the invocation's holds.
    pub(super) fn pay_claim(&mut self, at: Time, index: usize, claim: Usage) {
        if claim == Usage::default() {
            let lease = self.remove(at, index, Money::ZERO, None).lease;
            self.events.push(Event::Ended { lease: Box::new(lease), how: Ending::NotSent });
            return;
        }
        let lease = self.leases[index].lease.clone();
        let (observed_us, fault) = self.leases[index].broke.unwrap_or((u64::MAX, false));
        let metered = Usage::metered(Some(claim), observed_us, lease.timeout_ms, 0, 0);
        let held = picodollars(lease.hold) + self.held_by_siblings(&lease);
        let most = if fault { lease.quoted_cost } else { lease.worst_cost };
        let settlement = self.bill(&lease, metered, most.min(money(held)));
        let by_own_hold = settlement.cost.min(lease.hold);
        self.draw_on_siblings(&lease, picodollars(settlement.cost) - picodollars(by_own_hold));
        self.remove(at, index, by_own_hold, Some(settlement.billed_ms));
        self.pay(at, &lease, &settlement, settlement.cost);
        self.end_trial(lease.id);
        self.trade(&lease, Outcome::Ok, settlement);
    }
}
