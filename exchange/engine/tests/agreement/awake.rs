//! Checks that no bid rests that an offer would serve, once all woken bids have been examined.

use std::collections::BTreeSet;

use merit_terms::{LeaseId, Reason};

use crate::naive::Twin;

/// Share of the bids that are watched: one in eight. Each of them is judged against every offer after every command.
const ONE_IN: u64 = 8;

/// Resting bids that an offer may serve although nothing has woken them.
#[derive(Default)]
pub(crate) struct Awake {
    excused: BTreeSet<LeaseId>,
}

/// Returns whether a bid may rest for this reason unwoken: no prediction wakes it, nor money that other calls return.
fn excuses(reason: &Reason) -> bool {
    matches!(reason, Reason::MaxLatency { .. } | Reason::BudgetExceeded { .. } | Reason::InsufficientFunds { .. })
}

impl Awake {
    pub(crate) fn check(&mut self, twin: &Twin) {
        let is_quiet = !twin.has_pending() && !twin.has_dues(twin.last_at);
        let mut excused = BTreeSet::new();
        let bids = twin.resting.iter().map(|rested| &rested.resting);
        let waiting = bids.filter(|bid| bid.deferred.deadline > twin.last_at);
        for bid in waiting.filter(|bid| bid.id.sequence.is_multiple_of(ONE_IN)) {
            let (id, obstacles) = (bid.id, twin.obstacles_to(bid));
            let is_excused = match &obstacles {
                Some(reasons) => reasons.iter().any(excuses),
                None => self.excused.contains(&id),
            };
            if is_excused {
                excused.insert(id);
            } else {
                assert!(!is_quiet || obstacles.is_some(), "{id} rests, and nothing stands against it");
            }
        }
        self.excused = excused;
    }
}
