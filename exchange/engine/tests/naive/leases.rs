//! Open leases: taken up, claimed, and closed.

use merit_engine::{Ending, Event, Grant, Lease, LeaseState, Resting};
use merit_terms::{LeaseId, Money, Refusal, Time, Usage};

use super::Twin;
use super::accounts::picodollars;
use super::quotas::Draw;

#[derive(Clone, Debug)]
pub(crate) struct OpenLease {
    pub(crate) lease: Lease,
    /// Pool of the provider that it takes from.
    pub(super) pool: u32,
    pub(crate) has_capacity: bool,
    /// Reserve of a quota.
    pub(super) draw: Option<Draw>,
    /// The deferred bid that it was matched for; it rests again if its broker does not take the lease up.
    pub(super) bid: Option<Resting>,
    /// Time until the attempt broke, and whether its provider is to blame.
    pub(super) broke: Option<(u64, bool)>,
    /// True if it broke at a provider that cannot claim.
    pub(super) costs_nothing: bool,
    /// True once no further attempt of the invocation follows.
    pub(super) given_up: bool,
}

impl Twin {
    pub(super) fn grant_of(&self, lease: &Lease) -> Grant {
        Grant {
            terms: lease.terms(),
            session: self.providers[lease.provider.index()].session,
            quoted_cost: lease.quoted_cost,
            expires: lease.capacity_until,
            request: lease.request,
        }
    }

    pub(super) fn position(&self, id: LeaseId) -> Option<usize> {
        self.leases.iter().position(|open| open.lease.id == id)
    }

    /// Takes an offered lease up: from here on the worst case is held, not all that the bid allowed.
    pub(super) fn take_up(&mut self, id: LeaseId) -> Result<(), Refusal> {
        let index = self.position(id).ok_or(Refusal::Closed)?;
        let lease = &mut self.leases[index].lease;
        match lease.state {
            LeaseState::Offered => {
                lease.state = LeaseState::Running;
                lease.hold = lease.worst_cost;
                Ok(())
            }
            LeaseState::Running => Ok(()),
            LeaseState::Overdue | LeaseState::Unknown => Err(Refusal::Closed),
        }
    }

    /// Records a claim; the first one stands. It is paid at once if no further attempt follows.
    pub(super) fn claim(&mut self, at: Time, id: LeaseId, usage: Usage) -> Result<(), Refusal> {
        let index = self.position(id).ok_or(Refusal::Closed)?;
        let lease = &mut self.leases[index].lease;
        if lease.state == LeaseState::Offered {
            return Err(Refusal::Closed);
        }
        if lease.claim.is_none() {
            lease.claim = Some(usage);
            self.events.push(Event::Claimed { lease: id, provider: lease.provider, usage });
            if self.leases[index].given_up {
                self.give_up(at, &[id]);
            }
        }
        Ok(())
    }

    pub(super) fn close_lease(&mut self, at: Time, id: LeaseId) -> Result<(), Refusal> {
        let index = self.position(id).ok_or(Refusal::Closed)?;
        self.end(at, index, Ending::Closed);
        Ok(())
    }

    /// Ends the lease at cost 0, without effect on the provider's health.
    pub(super) fn end(&mut self, at: Time, index: usize, how: Ending) -> OpenLease {
        let ended = self.remove(at, index, Money::ZERO, None);
        self.end_trial(ended.lease.id);
        self.events.push(Event::Ended { lease: Box::new(ended.lease.clone()), how });
        ended
    }

    /// Takes the lease out: its capacity returns, and the unused parts of its quota and hold.
    pub(super) fn remove(&mut self, at: Time, index: usize, paid: Money, billed_ms: Option<u64>) -> OpenLease {
        let ended = self.leases.remove(index);
        if let Some(draw) = &ended.draw {
            self.return_draw(at, &ended.lease, draw, billed_ms);
        }
        self.pass_on(&ended.lease, picodollars(ended.lease.hold.saturating_sub(paid)));
        self.wake_exposed(&ended.lease);
        if ended.has_capacity {
            self.share_again(at, ended.lease.provider);
            self.trigger_pool(ended.lease.provider, ended.pool);
            self.wake_concurrent(&ended.lease);
        }
        ended
    }
}
