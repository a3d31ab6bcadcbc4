//! Leases that a crash forgot: settled once, on the terms of their token.

use merit_terms::{Execution, LeaseId, Money, OfferId, Refusal};

use crate::Engine;
use crate::command::{Forgotten, LeaseTerms, ProviderKind};
use crate::deadlines::Deadline;
use crate::event::{Event, Lease, LeaseState};
use crate::market::invalid;
use crate::reply::Reply;
use crate::turn::Turn;

impl Engine {
    /// Settles a lease that a crash forgot. The part that funds or budgets no longer cover is the operator's loss: the
    /// provider worked for the exchange's word.
    pub(crate) fn settle_forgotten(&mut self, turn: &mut Turn<'_>, forgotten: &Forgotten) -> Result<Reply, Refusal> {
        let Forgotten { terms, settle } = forgotten;
        if settle.lease != terms.lease {
            return Err(invalid("lease", format!("the token is for {}", terms.lease)));
        }
        if self.not_open(terms.lease) != Refusal::Forgotten || turn.at >= terms.settle_by {
            return Err(Refusal::Closed);
        }
        self.check_terms(terms)?;
        self.leases.remember_late(terms.lease, terms.settle_by);
        turn.deadlines.insert(terms.settle_by, Deadline::Late(terms.lease));
        if settle.execution != Execution::Executed {
            return Ok(Reply::Done);
        }
        let lease = remembered(terms);
        let metered = self.metered(&lease, settle.reported, settle);
        let settlement = self.bill(&lease, &metered, terms.hold);
        let cost = settlement.cost;
        let is_market = self.kind_of(lease.provider) == ProviderKind::Market;
        let from_buyer = if is_market { self.covered(&lease, cost) } else { cost };
        turn.tell(Event::Granted(Box::new(lease.clone())));
        self.learn(turn.at, &lease, settle, &metered);
        self.pay(turn, lease, settle.outcome, settlement, from_buyer);
        Ok(Reply::Settled(settlement))
    }

    /// Returns the refusal of a lease that is not open: a crash forgot it, or it is closed.
    pub(super) fn not_open(&self, id: LeaseId) -> Refusal {
        let forgotten = self.leases.is_of_lost_end(id) && !self.leases.is_settled_late(id);
        if forgotten { Refusal::Forgotten } else { Refusal::Closed }
    }

    /// Refuses terms with unknown ids.
    fn check_terms(&self, terms: &LeaseTerms) -> Result<(), Refusal> {
        self.ledger.known(terms.account)?;
        let function = self.registry.known_function(terms.function)?;
        if function.revision(terms.revision).is_none() {
            let name = format!("{}:{}", function.name, terms.revision);
            return Err(Refusal::Unknown { what: "revision", name });
        }
        self.registry.known_provider(terms.provider)?;
        self.registry.known_market(terms.market).map(drop)
    }

    /// Returns the part of a cost that the buyer's funds and budgets cover.
    fn covered(&self, lease: &Lease, cost: Money) -> Money {
        let (account, function) = (self.ledger.account(lease.account), self.registry.function(lease.function));
        let left = self.budgets_left(function, account).map(|(_, left)| left);
        let most = left.fold(account.available(), i128::min).clamp(0, i128::from(cost.picodollars()));
        u64::try_from(most).ok().and_then(Money::from_picodollars).unwrap_or(cost)
    }
}

/// Returns the lease as its token remembers it.
fn remembered(terms: &LeaseTerms) -> Lease {
    Lease {
        id: terms.lease,
        invocation: terms.invocation,
        attempt: terms.attempt,
        account: terms.account,
        function: terms.function,
        revision: terms.revision,
        provider: terms.provider,
        market: terms.market,
        offer: OfferId(0),
        price: terms.price,
        tariff: terms.tariff,
        vcpus_milli: terms.vcpus_milli,
        memory_mb: terms.memory_mb,
        timeout_ms: terms.timeout_ms,
        quoted_cost: Money::ZERO,
        worst_cost: terms.hold,
        hold: Money::ZERO,
        matched_at: terms.matched_at,
        capacity_until: terms.settle_by,
        settle_by: terms.settle_by,
        runner_up: None,
        state: LeaseState::Running,
        on_prior: false,
        private: terms.private,
        claim: None,
        request: None,
    }
}
