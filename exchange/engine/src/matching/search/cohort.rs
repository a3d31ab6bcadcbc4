//! Cohorts: the providers that a part of a search looks for, and their members where those are few.

use merit_terms::ProviderId;

use super::Search;
use crate::collections::bits::{Bits, ones};

/// Maximum members of a cohort that are looked at one by one.
const FEW: u32 = 96;

/// The providers that a part of a search looks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cohort {
    All,
    /// Providers with history.
    Learned,
    /// Providers without history that no call is trying already.
    Newcomers,
}

impl Search<'_> {
    /// Returns whether a provider belongs to a cohort.
    pub(super) fn is(&self, cohort: Cohort, provider: ProviderId) -> bool {
        let revision = self.resolved.revision;
        let learned = revision.learned().providers().has(provider.index());
        match cohort {
            Cohort::All => true,
            Cohort::Learned => learned,
            Cohort::Newcomers => !learned && !revision.is_probing(provider),
        }
    }

    /// Returns the members of a cohort that bid, class and labels allow, if they are few.
    pub(super) fn few(&self, cohort: Cohort) -> Option<Vec<ProviderId>> {
        if let Some(only) = self.resolved.only() {
            return Some(only.to_vec());
        }
        let offers: u64 =
            self.markets.iter().map(|(market, _)| u64::from(self.engine.shelf.index(*market).live())).sum();
        let members = self.members(cohort)?;
        let few = members.len() as u64;
        (few * few * 16 < offers || few == 0).then(|| members.into_iter().map(|i| ProviderId::new(i as u32)).collect())
    }

    /// Returns the members of a cohort that class and labels allow, if they are few.
    fn members(&self, cohort: Cohort) -> Option<Vec<usize>> {
        let resolved = self.resolved;
        let class = if self.markets.iter().any(|(_, by_module)| *by_module) {
            resolved.class.allowed()
        } else {
            resolved.class.deployed()
        };
        let labels: Vec<&Bits> = resolved.labels.iter().copied().flatten().collect();
        if labels.len() < resolved.labels.len() {
            return Some(Vec::new());
        }
        let learned = resolved.revision.learned().providers();
        if cohort == Cohort::All && class.count() > FEW && labels.iter().all(|bits| bits.count() > FEW) {
            return None;
        }
        let mut members = Vec::new();
        for i in 0..class.words() {
            let kind = match cohort {
                Cohort::All => u64::MAX,
                Cohort::Learned => learned.word(i),
                Cohort::Newcomers => !learned.word(i),
            };
            let word = labels.iter().fold(class.word(i) & kind, |word, bits| word & bits.word(i));
            if members.len() as u32 + word.count_ones() > FEW {
                return None;
            }
            members.extend(ones(word, i));
        }
        Some(members)
    }
}
