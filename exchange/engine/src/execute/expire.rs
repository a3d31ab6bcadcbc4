//! The deadlines that have come, run before a command.

use crate::Engine;
use crate::deadlines::Deadline;
use crate::turn::Turn;

/// Maximum expiries that run before one command; the rest run before the next ones.
pub const EXPIRIES_MAX: usize = 64;

impl Engine {
    /// Runs the deadlines up to the time of the command in order, at most [`EXPIRIES_MAX`]. Returns whether there were
    /// any.
    pub(crate) fn expire(&mut self, turn: &mut Turn<'_>) -> bool {
        let mut ran = 0;
        while ran < EXPIRIES_MAX
            && let Some((time, deadline)) = turn.deadlines.take(turn.at)
        {
            match deadline {
                Deadline::Lease(sequence) => self.lease_deadline(turn, sequence),
                Deadline::TakeUp(sequence) => self.not_taken_up(turn, sequence),
                Deadline::Bid(sequence) => self.bid_due(turn, sequence),
                Deadline::Offer(_, slot) => self.shelf.expire(turn, slot),
                Deadline::Renewal(provider, quota) => self.renew(provider, quota),
                Deadline::Late(lease) => self.leases.forget_late(lease),
                Deadline::Look => self.look(turn, time),
            }
            ran += 1;
        }
        ran > 0
    }
}
