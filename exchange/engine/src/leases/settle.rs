//! The ends of a lease that its broker or the operator says: settled, unknown, released, closed.
//!
//! Says what a provider learns and is blamed for; the return of what the lease held is `close`.

use merit_terms::{Execution, LeaseId, Metered, Money, Outcome, Refusal, Time, Usage};

use super::open::Broke;
use crate::Engine;
use crate::command::{NotSent, ProviderKind, Settle};
use crate::event::{Ending, Event, Lease, LeaseState};
use crate::prediction::learned::Learned;
use crate::prediction::pair::Observation;
use crate::reply::Reply;
use crate::supply::quotas::energy_mb_ms;
use crate::turn::Turn;

impl Engine {
    pub(crate) fn settle(&mut self, turn: &mut Turn<'_>, command: &Settle) -> Result<Reply, Refusal> {
        match command.execution {
            Execution::Executed => self.settle_executed(turn, command),
            Execution::NotSent => self.release(turn, command.lease, NotSent::Withdrawn),
            Execution::Unknown => self.settle_unknown(turn, command),
        }
    }

    fn settle_executed(&mut self, turn: &mut Turn<'_>, command: &Settle) -> Result<Reply, Refusal> {
        let lease = self.ending(turn, command.lease)?;
        let reported = command.reported.or(lease.claim);
        let metered = self.metered(&lease, reported, command);
        let most = match self.kind_of(lease.provider) {
            ProviderKind::Market => lease.hold,
            ProviderKind::Own => lease.worst_cost,
        };
        let settlement = self.bill(&lease, &metered, most);
        let cost = settlement.cost;
        let used = energy_mb_ms(&lease.tariff, lease.memory_mb, settlement.billed_ms);
        self.close(turn, lease.id.sequence, cost, Some(used));
        let back = if command.fault { Vec::new() } else { self.provider_answered(turn, &lease) };
        if command.fault {
            self.inconclusive(&lease);
        }
        self.learn(turn.at, &lease, command, &metered);
        let succeeded = command.outcome == Outcome::Ok && !command.server_error;
        for (function, revision) in back.into_iter().filter(|_| succeeded) {
            if let Some(revision) = self.registry.function_mut(function).revision_mut(revision) {
                revision.learned_mut().come_back(lease.provider);
            }
        }
        let broken = self.leases.beside(&lease);
        self.pay(turn, lease, command.outcome, settlement, cost);
        self.give_up(turn, broken);
        Ok(Reply::Settled(settlement))
    }

    /// Ends a lease without an answer. It may still run: its capacity stays taken until its deadline, and its hold
    /// until the time for claims has passed, if it can be claimed. A second such end only says that the broker
    /// gave the invocation up.
    fn settle_unknown(&mut self, turn: &mut Turn<'_>, command: &Settle) -> Result<Reply, Refusal> {
        let known = self.leases.get(command.lease).map(|open| open.lease.clone());
        match known.filter(|lease| command.given_up && lease.state == LeaseState::Unknown) {
            Some(lease) => self.give_up(turn, self.leases.attempts_of(&lease)),
            None => self.break_off(turn, command)?,
        }
        Ok(Reply::Done)
    }

    /// Records the end of an attempt without an answer.
    fn break_off(&mut self, turn: &mut Turn<'_>, command: &Settle) -> Result<(), Refusal> {
        let mut lease = self.ending(turn, command.lease)?;
        let can_claim = self.registry.provider(lease.provider).adapter.takes_tokens();
        lease.state = LeaseState::Unknown;
        if let Some(open) = self.leases.get_mut(lease.id) {
            open.lease.state = LeaseState::Unknown;
            open.broke = Some(Broke { after_us: command.observed_us, fault: command.fault, can_claim });
        }
        self.blame(turn, &lease, command.fault);
        turn.tell(Event::Ended { lease: Box::new(lease.clone()), how: Ending::Unknown });
        if !can_claim {
            self.cost_nothing(&lease);
        }
        if command.given_up {
            self.give_up(turn, self.leases.attempts_of(&lease));
        }
        Ok(())
    }

    /// Counts a fault against the provider, in its health and its success; any other end says nothing about it.
    fn blame(&mut self, turn: &mut Turn<'_>, lease: &Lease, fault: bool) {
        if fault {
            // While it is behind, calls that still run do not count again.
            let health = self.shelf.seller(lease.provider).health();
            if !health.is_behind((lease.function, lease.revision), turn.at)
                && let Some(learned) = self.learned_mut(lease)
            {
                learned.fail(lease.provider, seconds(turn.at));
            }
            self.provider_failed(turn, lease);
        } else {
            self.inconclusive(lease);
        }
    }

    /// Ends a lease at cost 0: nothing was sent.
    pub(crate) fn release(&mut self, turn: &mut Turn<'_>, id: LeaseId, why: NotSent) -> Result<Reply, Refusal> {
        let lease = self.ending(turn, id)?;
        let slot = self.leases.get(id).and_then(|open| open.slot);
        let pool = slot.and_then(|slot| self.shelf.offer(slot)).map(|offer| offer.pool);
        self.close(turn, id.sequence, Money::ZERO, None);
        if why == NotSent::Replaced
            && let Some(learned) = self.learned_mut(&lease)
        {
            learned.fail(lease.provider, seconds(turn.at));
        }
        self.blame(turn, &lease, why == NotSent::Failed);
        if let NotSent::Warming { retry_after_s } = why {
            self.provider_warms(turn, &lease, retry_after_s);
        }
        if why == NotSent::Busy
            && let Some(pool) = pool
        {
            self.shelf.busy(turn, pool);
        }
        let mut given_up = self.leases.beside(&lease);
        given_up.retain(|sequence| self.leases.at(*sequence).is_some_and(|open| open.given_up));
        turn.tell(Event::Ended { lease: Box::new(lease), how: Ending::NotSent });
        self.give_up(turn, given_up);
        Ok(Reply::Done)
    }

    /// Closes a lease in any state, for the operator.
    pub(crate) fn close_lease(&mut self, turn: &mut Turn<'_>, id: LeaseId) -> Result<Reply, Refusal> {
        self.leases.get(id).ok_or(Refusal::Closed)?;
        let lease = self.close(turn, id.sequence, Money::ZERO, None).ok_or(Refusal::Closed)?;
        self.inconclusive(&lease);
        turn.tell(Event::Ended { lease: Box::new(lease), how: Ending::Closed });
        Ok(Reply::Done)
    }

    /// Returns the lease that its broker ends, and takes it up first if it was only offered.
    fn ending(&mut self, turn: &mut Turn<'_>, id: LeaseId) -> Result<Lease, Refusal> {
        let open = self.leases.get(id).ok_or_else(|| self.not_open(id))?;
        match open.lease.state {
            LeaseState::Unknown => return Err(Refusal::Closed),
            LeaseState::Offered => {}
            LeaseState::Running | LeaseState::Overdue => return Ok(open.lease.clone()),
        }
        self.taken_up(turn, id.sequence).ok_or(Refusal::Closed)
    }

    fn learned_mut(&mut self, lease: &Lease) -> Option<&mut Learned> {
        let revision = self.registry.function_mut(lease.function).revision_mut(lease.revision)?;
        Some(revision.learned_mut())
    }

    /// Returns the billed usage. CPU time that nobody reports is that learned of the revision.
    pub(super) fn metered(&self, lease: &Lease, reported: Option<Usage>, settle: &Settle) -> Metered {
        let revision = self.registry.function(lease.function).revision(lease.revision);
        let learned_cpu_us = revision.map_or(0, |revision| revision.learned().cpu_us());
        Usage::metered(reported, settle.observed_us, lease.timeout_ms, settle.egress_bytes, learned_cpu_us)
    }

    /// Teaches the prediction what a lease used and was billed for, and the provider's ratio to the others.
    pub(super) fn learn(&mut self, at: Time, lease: &Lease, settle: &Settle, metered: &Metered) {
        let function = self.registry.function_mut(lease.function);
        let Some(revision) = function.revision_mut(lease.revision) else { return };
        let is_whole = matches!(settle.outcome, Outcome::Ok | Outcome::Timeout) && !settle.server_error;
        // A timeout that a max cost cut says nothing about the provider.
        let is_cut = settle.outcome == Outcome::Timeout && lease.timeout_ms < revision.code.timeout_ms;
        let seen = Observation {
            usage: metered.usage,
            vcpus_milli: lease.vcpus_milli,
            at_s: seconds(at),
            reported: !metered.estimated,
            is_whole,
            succeeded: (!is_cut).then_some(is_whole && settle.outcome == Outcome::Ok),
        };
        let ratio = revision.learned_mut().learn(lease.provider, &seen);
        if is_whole {
            let paid = |usage: &Usage| paid_over_predicted(lease, &metered.usage, usage);
            revision.learned_mut().learn_paid(lease.provider, paid);
        }
        if let Some(ratio) = ratio {
            let general = self.registry.provider_mut(lease.provider).compare(ratio);
            self.shelf.compare(lease.provider, general);
        }
    }
}

fn seconds(at: Time) -> u32 {
    (at.micros() / 1_000_000) as u32 // until 2106
}

/// Returns the cost of the billed usage over that of the predicted one, in 1/1024. None if that is 0.
fn paid_over_predicted(lease: &Lease, billed: &Usage, predicted: &Usage) -> Option<u16> {
    let numerator = |usage| lease.tariff.numerator(lease.memory_mb, lease.vcpus_milli, usage);
    let paid = (numerator(billed) * 1024).checked_div(numerator(predicted))?;
    Some(u16::try_from(paid).unwrap_or(u16::MAX))
}
