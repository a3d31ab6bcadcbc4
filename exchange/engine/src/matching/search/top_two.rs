//! The best candidate so far, and the best one of another provider.

use merit_terms::Money;

use crate::matching::merit_order::Candidate;

/// The best candidate and the best one of another provider.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct TopTwo {
    pub(super) first: Option<Candidate>,
    pub(super) second: Option<Candidate>,
}

impl TopTwo {
    /// Returns the cost above which a candidate changes nothing.
    pub(super) fn bound(&self) -> Option<Money> {
        self.second.map(|second| second.cost_of_answer)
    }

    /// Takes in a candidate.
    pub(super) fn offer(&mut self, candidate: Candidate) {
        let better = |than: &Option<Candidate>| than.is_none_or(|than| candidate.rank() < than.rank());
        if better(&self.first) {
            let beaten = self.first.replace(candidate);
            if let Some(beaten) = beaten.filter(|beaten| beaten.provider != candidate.provider) {
                self.second = Some(beaten);
            }
        } else if self.first.is_some_and(|first| first.provider != candidate.provider) && better(&self.second) {
            self.second = Some(candidate);
        }
    }
}
