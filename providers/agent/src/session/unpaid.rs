//! Leases that ran here and are not known to be paid, with the time of each one's claim. Pure; `now` is given, as to
//! the machine. Never sends a claim.
//!
//! A broker settles within moments of an answer. A run is claimed by the exchange's proof if its answer could not be
//! delivered, if the broker said that it got none, or if nobody settled it for a while. The exchange refuses a needless
//! claim, and the run is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use merit_proto::v1;
use merit_terms::{LeaseId, Usage};

/// Timeout of a broker's settlement, and of the exchange's answer to a claim.
const CLAIM_AFTER: Duration = Duration::from_secs(30);
/// Maximum number of remembered leases, about 20 MB; at one more the next due claim is forgotten.
const REMEMBERED_MAX: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Unpaid {
    runs: BTreeMap<LeaseId, UnpaidRun>,
    due: BTreeSet<(Duration, LeaseId)>,
}

struct UnpaidRun {
    usage: Usage,
    proof: v1::LeaseProof,
    claim_at: Duration,
}

impl Unpaid {
    /// Notes a run whose answer is on its way to the broker.
    pub(crate) fn ran(&mut self, now: Duration, lease: LeaseId, usage: Usage, proof: v1::LeaseProof) {
        if self.runs.len() >= REMEMBERED_MAX
            && let Some((_, first)) = self.due.first().copied()
        {
            self.over(first);
        }
        let claim_at = now + CLAIM_AFTER;
        self.runs.insert(lease, UnpaidRun { usage, proof, claim_at });
        self.due.insert((claim_at, lease));
    }

    /// Claims a lease at once, if it ran, because its answer was lost.
    pub(crate) fn unanswered(&mut self, now: Duration, lease: LeaseId) {
        self.claim_at(lease, now);
    }

    /// Forgets a lease that was settled or whose claim was answered.
    pub(crate) fn over(&mut self, lease: LeaseId) {
        if let Some(run) = self.runs.remove(&lease) {
            self.due.remove(&(run.claim_at, lease));
        }
    }

    /// Forgets every lease that is not among the `open` ones.
    pub(crate) fn keep(&mut self, open: &BTreeSet<LeaseId>) {
        let over: Vec<LeaseId> = self.runs.keys().filter(|lease| !open.contains(lease)).copied().collect();
        over.into_iter().for_each(|lease| self.over(lease));
    }

    /// Returns the number of runs that are not known to be paid.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Returns the time of the next claim.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due.first().map(|(claim_at, _)| *claim_at)
    }

    /// Returns the claims due at `now`. Each comes again until it is answered.
    pub(crate) fn claims(&mut self, now: Duration) -> Vec<v1::UsageClaim> {
        let mut claims = Vec::new();
        while let Some((claim_at, lease)) = self.due.first().copied()
            && claim_at <= now
        {
            let claim =
                |run: &UnpaidRun| v1::UsageClaim { proof: Some(run.proof.clone()), usage: Some((&run.usage).into()) };
            claims.extend(self.runs.get(&lease).map(claim));
            self.claim_at(lease, now + CLAIM_AFTER);
        }
        claims
    }

    fn claim_at(&mut self, lease: LeaseId, claim_at: Duration) {
        if let Some(run) = self.runs.get_mut(&lease) {
            self.due.remove(&(run.claim_at, lease));
            run.claim_at = claim_at;
            self.due.insert((claim_at, lease));
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/session/unpaid.rs"]
mod tests;
