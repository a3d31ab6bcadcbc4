//! Those that have not run a revision yet, in order of their score: of thousands the first few decide.

use merit_terms::{Price, Tariff, Usage};

use super::{Search, Who, at_least};
use crate::durations::Reference;

/// So many scores are looked at before the rest is walked through.
const SCORES_LOOKED_AT: usize = 1024;
/// So many newcomers are tried before the rest is walked through.
const NEWCOMERS_TRIED: usize = 64;
/// The same where the max cost may cut what calls cost, so that no score tells that it is enough.
const CUT_TRIED: usize = 16;

/// Every tariff bills at least what this one does.
const LEAST: Tariff = Tariff {
    per_request: Price::ZERO,
    per_gb_second: Price::ZERO,
    per_cpu_ms: Price::ZERO,
    per_gb_egress: Price::ZERO,
    increment_ms: 1,
    minimum_ms: 0,
    memory_step_mb: 1,
    bills_cold_start: false,
};
const ONE_MS: Usage = Usage { wall_us: 1000, cpu_us: 0, cold_us: 0, egress_bytes: 0 };

/// Beyond which newcomers are not among the best two.
#[derive(Clone, Copy)]
struct Reach {
    /// The greatest rate x microseconds.
    most: u128,
    /// The greatest score.
    score: i32,
}

impl Search<'_> {
    pub(super) fn try_newcomers(&mut self, reference: &Reference) {
        let all = self.engine.registry.providers.len();
        let Some(least) = self.engine.shelf.scores.least_general() else { return };
        if self.asked.revision.durations.learned().count() as usize == all {
            return;
        }
        let few = self.few(Who::Newcomers);
        if few.is_some() || !self.try_by_score(reference) {
            self.look(Who::Newcomers, at_least(reference.prior(least).wall_us));
        }
    }

    /// Tries newcomers in order of their score; whether none of those left can be among the best two.
    fn try_by_score(&mut self, reference: &Reference) -> bool {
        let (scores, timeout_us) = (&self.engine.shelf.scores, self.timeout_us());
        let most_tried = if self.asked.has_max_cost() { CUT_TRIED } else { NEWCOMERS_TRIED };
        let mut tried = 0;
        let mut bound = self.bound();
        let mut reach = self.reach(reference);
        for (looked_at, score) in scores.iter().enumerate() {
            if reach.is_some_and(|reach| score.log > reach.score) {
                return true;
            }
            if looked_at == SCORES_LOOKED_AT || tried == most_tried {
                return false;
            }
            let wall_us = reference.prior(score.general).wall_us.min(timeout_us);
            let dear = |reach: Reach| u128::from(score.rate) * u128::from(wall_us) > reach.most;
            if reach.is_some_and(dear) || !self.is(Who::Newcomers, score.provider) {
                continue;
            }
            tried += usize::from(self.try_provider(score.provider));
            if self.bound() != bound {
                bound = self.bound();
                reach = self.reach(reference);
            }
        }
        true
    }

    /// How far newcomers may be among the best two; none: it is not known.
    fn reach(&mut self, reference: &Reference) -> Option<Reach> {
        let bound = self.bound()?;
        // A score knows of no timeout, which makes the slowest cheaper.
        let timeout_us = self.timeout_us();
        if reference.slowest_prior_us() > timeout_us && !self.is_too_slow(at_least(timeout_us)) {
            return None;
        }
        let per_ms = LEAST.numerator_per_rate(self.asked.revision.code.memory_mb, &ONE_MS).max(1);
        let most = u128::from(bound.picodollars()) * Tariff::DENOMINATOR * 1000 / per_ms;
        Some(Reach { most, score: reference.greatest_score(most) })
    }

    fn timeout_us(&self) -> u64 {
        u64::from(self.asked.revision.code.timeout_ms) * 1000
    }
}
