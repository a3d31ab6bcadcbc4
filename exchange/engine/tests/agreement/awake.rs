//! No bid rests that an offer would serve, once every bid that was woken has been examined.

use std::collections::BTreeSet;

use merit_terms::{LeaseId, Reason};

use crate::naive::Twin;

/// Of so many bids one is watched, after every command: each is judged against every offer.
const ONE_IN: u64 = 8;

/// Bids that may be served meanwhile without being woken.
#[derive(Default)]
pub(crate) struct Awake {
    excused: BTreeSet<LeaseId>,
}

/// What is learned wakes nobody, nor do money and budgets that other calls give back.
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
