//! Deadlines of leases, bids and offers, renewals, and the end of what is remembered.

use merit_engine::{AtDeadline, BidEnding, Ending, Event, LeaseState};
use merit_terms::{LeaseId, OfferId, ProviderId, Time};

use super::holds::is_same_call;
use super::{Rested, Twin};

/// A due entry; equal times run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    Lease(u64),
    TakeUp(u64),
    Bid(u64),
    Offer(OfferId),
    Renewal(ProviderId, usize),
    Late(LeaseId),
    Look(Time),
}

impl Twin {
    fn deadlines(&self) -> impl Iterator<Item = (Time, Deadline)> {
        let leases = self.leases.iter().map(|open| {
            let lease = &open.lease;
            (if open.has_capacity { lease.capacity_until } else { lease.settle_by }, Deadline::Lease(lease.id.sequence))
        });
        let offered = self.leases.iter().map(|open| &open.lease).filter(|lease| lease.state == LeaseState::Offered);
        let offered = offered.map(|lease| (lease.matched_at.after_millis(1_000), Deadline::TakeUp(lease.id.sequence)));
        let bids = self.resting.iter().filter(|rested| !rested.eager).map(|rested| &rested.resting);
        let bids = bids.map(|bid| (bid.deferred.deadline, Deadline::Bid(bid.id.sequence)));
        let offers = self.offers.iter().filter_map(|offer| Some((offer.rung.expires?, Deadline::Offer(offer.id))));
        let renewals = self.providers.iter().zip(0..).flat_map(|(provider, id)| {
            let armed = |(state, index): (&super::quotas::QuotaState, usize)| Some((state.renewal?, index));
            let renewals = provider.quotas.iter().zip(0..).filter_map(armed);
            renewals.map(move |(at, index)| (at, Deadline::Renewal(ProviderId::new(id), index)))
        });
        let late = self.late.iter().map(|(id, settle_by)| (*settle_by, Deadline::Late(*id)));
        let look = self.next_look().map(|at| (at, Deadline::Look(at)));
        leases.chain(offered).chain(bids).chain(offers).chain(renewals).chain(late).chain(look)
    }

    /// Returns the time of the next due entry; pending work is due now.
    pub(crate) fn next_due(&self) -> Option<Time> {
        if self.has_pending() { Some(self.last_at) } else { self.deadlines().map(|(at, _)| at).min() }
    }

    pub(crate) fn has_dues(&self, at: Time) -> bool {
        self.deadlines().any(|(due_at, _)| due_at <= at)
    }

    /// Runs the due entries in order, at most 64. Returns whether there were any.
    pub(super) fn expire(&mut self, at: Time) -> bool {
        for ran in 0..64 {
            let Some((_, due)) = self.deadlines().filter(|(due_at, _)| *due_at <= at).min() else {
                return ran > 0;
            };
            self.run_due(at, due);
        }
        true
    }

    fn run_due(&mut self, at: Time, due: Deadline) {
        match due {
            Deadline::Lease(sequence) => self.lease_deadline(at, sequence),
            Deadline::TakeUp(sequence) => self.not_taken_up(at, sequence),
            Deadline::Bid(sequence) => self.at_deadline(sequence),
            Deadline::Offer(id) => self.offers.retain(|offer| offer.id != id),
            Deadline::Renewal(provider, index) => self.renew(at, provider, index),
            Deadline::Late(id) => self.late.retain(|(late, _)| *late != id),
            Deadline::Look(time) => self.look(time),
        }
    }

    fn index_of(&self, sequence: u64) -> usize {
        let is_due = |open: &super::OpenLease| open.lease.id.sequence == sequence;
        self.leases.iter().position(is_due).expect("only open leases are due")
    }

    /// Ends a lease in two steps: first its capacity returns, then its claim is paid or it closes.
    fn lease_deadline(&mut self, at: Time, sequence: u64) {
        let index = self.index_of(sequence);
        let open = &self.leases[index];
        let is_unknown = open.lease.state == LeaseState::Unknown;
        if open.costs_nothing && open.lease.claim.is_none() {
            self.remove(at, index, merit_terms::Money::ZERO, None);
            return;
        }
        let open = &mut self.leases[index];
        if open.has_capacity {
            open.has_capacity = false;
            if !is_unknown {
                open.lease.state = LeaseState::Overdue;
            }
            let (lease, pool) = (open.lease.clone(), open.pool);
            self.end_trial(lease.id);
            self.share_again(at, lease.provider);
            self.trigger_pool(lease.provider, pool);
            self.wake_concurrent(&lease);
            return;
        }
        let lease = open.lease.clone();
        match (lease.claim, self.answered_by(&lease)) {
            // An attempt that may yet be answered is paid first, so the claim waits for it.
            (Some(_), Some(settle_by)) => {
                self.leases[index].lease.settle_by = Time::from_micros(settle_by.micros() + 1);
            }
            (Some(claim), None) => self.pay_claim(at, index, claim),
            (None, _) if is_unknown => {
                self.remove(at, index, merit_terms::Money::ZERO, None);
            }
            (None, _) => {
                self.end(at, index, Ending::Expired);
            }
        }
    }

    /// Returns the time by which the later attempts that may yet be answered are settled.
    pub(super) fn answered_by(&self, lease: &merit_engine::Lease) -> Option<Time> {
        let answers = self.leases.iter().map(|open| &open.lease).filter(|other| {
            let same = is_same_call(other, lease) && other.id != lease.id;
            let later = other.id.sequence > lease.id.sequence && other.settle_by >= lease.settle_by;
            same && later && other.state != LeaseState::Unknown
        });
        answers.map(|other| other.settle_by).max()
    }

    /// Ends a lease that its broker did not take up: its bid rests again.
    fn not_taken_up(&mut self, at: Time, sequence: u64) {
        let index = self.index_of(sequence);
        let ended = self.end(at, index, Ending::NotTakenUp);
        let mut resting = ended.bid.expect("only leases of deferred bids are offered");
        resting.rested_at = at;
        let (sequence, deadline) = (resting.id.sequence, resting.deferred.deadline);
        let covered = self.check_cover(at, &resting).is_ok();
        let markets = resting.markets.clone();
        self.rest(resting);
        if deadline > at && covered {
            for market in markets {
                self.trigger(market, merit_terms::Price::ZERO);
            }
        } else {
            let index = self.resting.iter().position(|rested| rested.resting.id.sequence == sequence);
            self.leave(index.expect("it rests"), BidEnding::Expired);
        }
    }

    fn at_deadline(&mut self, sequence: u64) {
        let is_due = |rested: &Rested| rested.resting.id.sequence == sequence;
        let index = self.resting.iter().position(is_due).expect("only resting bids are due");
        match self.resting[index].resting.deferred.then {
            AtDeadline::Expire => self.leave(index, BidEnding::Expired),
            AtDeadline::Market => self.resting[index].eager = true,
        }
    }

    /// Takes a bid out of the books.
    pub(super) fn leave(&mut self, index: usize, how: BidEnding) {
        let resting = self.resting.remove(index).resting;
        self.events.push(Event::BidGone { resting: Box::new(resting), how });
    }
}
