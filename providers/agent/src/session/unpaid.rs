//! Leases that ran here and are not known to be paid, and when each is claimed. Pure; `now` is given, as to the machine.
//!
//! A broker settles within moments of an answer. What could not be delivered, what a broker said it got no answer of, and
//! what nobody settled for a while is claimed by the exchange's proof; a claim that was not needed is refused and
//! forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use merit_proto::v1;
use merit_terms::{LeaseId, Usage};

/// How long a broker may take to settle, and the exchange to answer a claim.
const CLAIM_AFTER: Duration = Duration::from_secs(30);
/// Leases remembered, about 20 MB; beyond it the one that would be claimed first is forgotten.
const REMEMBERED_MAX: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Unpaid {
    runs: BTreeMap<LeaseId, Run>,
    due: BTreeSet<(Duration, LeaseId)>,
}

struct Run {
    usage: Usage,
    proof: v1::LeaseProof,
    claim_at: Duration,
}

impl Unpaid {
    /// A lease ran; the broker is about to have its answer.
    pub(crate) fn ran(&mut self, now: Duration, lease: LeaseId, usage: Usage, proof: v1::LeaseProof) {
        if self.runs.len() >= REMEMBERED_MAX
            && let Some((_, first)) = self.due.first().copied()
        {
            self.over(first);
        }
        let claim_at = now + CLAIM_AFTER;
        self.runs.insert(lease, Run { usage, proof, claim_at });
        self.due.insert((claim_at, lease));
    }

    /// Nobody has the answer of this lease: it is claimed at once, if it ran.
    pub(crate) fn unanswered(&mut self, now: Duration, lease: LeaseId) {
        self.claim_at(lease, now);
    }

    /// The lease was settled, or the claim of it answered.
    pub(crate) fn over(&mut self, lease: LeaseId) {
        if let Some(run) = self.runs.remove(&lease) {
            self.due.remove(&(run.claim_at, lease));
        }
    }

    /// What is over that is not among the `open` leases.
    pub(crate) fn keep(&mut self, open: &BTreeSet<LeaseId>) {
        let over: Vec<LeaseId> = self.runs.keys().filter(|lease| !open.contains(lease)).copied().collect();
        over.into_iter().for_each(|lease| self.over(lease));
    }

    /// When the next claim is to be made.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.due.first().map(|(claim_at, _)| *claim_at)
    }

    /// What is to be claimed by `now`; it is claimed again if no answer comes.
    pub(crate) fn claims(&mut self, now: Duration) -> Vec<v1::UsageClaim> {
        let mut claims = Vec::new();
        while let Some((claim_at, lease)) = self.due.first().copied()
            && claim_at <= now
        {
            let claim = |run: &Run| v1::UsageClaim { proof: Some(run.proof.clone()), usage: Some((&run.usage).into()) };
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
mod tests {
    use super::*;

    const USAGE: Usage = Usage { wall_us: 9, cpu_us: 8, cold_us: 7, egress_bytes: 0 };

    fn lease(sequence: u64) -> LeaseId {
        LeaseId { run: 1, sequence }
    }

    fn proof(sequence: u64) -> v1::LeaseProof {
        v1::LeaseProof { terms: vec![sequence as u8], mac: Vec::new() }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn unpaid(sequences: std::ops::RangeInclusive<u64>) -> Unpaid {
        let mut unpaid = Unpaid::default();
        sequences.for_each(|sequence| unpaid.ran(s(sequence), lease(sequence), USAGE, proof(sequence)));
        unpaid
    }

    fn claimed(unpaid: &mut Unpaid, now: Duration) -> Vec<u8> {
        unpaid.claims(now).iter().map(|claim| claim.proof.as_ref().unwrap().terms[0]).collect()
    }

    #[test]
    fn what_nobody_settles_is_claimed_after_a_while_and_again() {
        let mut unpaid = unpaid(1..=3);
        assert_eq!(unpaid.due(), Some(s(31)));
        assert_eq!(claimed(&mut unpaid, s(30)), [0_u8; 0]);
        assert_eq!(claimed(&mut unpaid, s(32)), [1, 2]);
        assert_eq!(claimed(&mut unpaid, s(33)), [3]);
        assert_eq!(claimed(&mut unpaid, s(62)), [1, 2]);
        assert_eq!(unpaid.claims(s(63))[0].usage, Some((&USAGE).into()));
    }

    #[test]
    fn what_was_settled_is_not_claimed() {
        let mut unpaid = unpaid(1..=3);
        unpaid.over(lease(2));
        unpaid.over(lease(9));
        assert_eq!(claimed(&mut unpaid, s(60)), [1, 3]);
        unpaid.keep(&BTreeSet::from([lease(3), lease(9)]));
        assert_eq!(claimed(&mut unpaid, s(90)), [3]);
    }

    #[test]
    fn what_nobody_has_the_answer_of_is_claimed_at_once() {
        let mut unpaid = unpaid(1..=2);
        unpaid.unanswered(s(3), lease(2));
        unpaid.unanswered(s(3), lease(9));
        assert_eq!(unpaid.due(), Some(s(3)));
        assert_eq!(claimed(&mut unpaid, s(3)), [2]);
        assert_eq!(unpaid.due(), Some(s(31)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let unpaid = unpaid(1..=REMEMBERED_MAX as u64 + 2);
        assert_eq!((unpaid.runs.len(), unpaid.due.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert_eq!(unpaid.due(), Some(s(33)));
    }
}
