//! Those that have not run a revision yet: predicted alike in each step of how they compare, so that few of each decide.

use merit_terms::{Price, Tariff};

use super::lines::Line;
use super::{Search, Who, at_least};
use crate::durations::Reference;
use crate::index::Index;

/// So many are looked at before the rest is walked through.
const LOOKED_AT: usize = 1024;
/// So many are tried before the rest is walked through.
const TRIED: usize = 64;
/// The same where the max cost may cut what calls cost, so that no price tells that it is enough.
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

/// What is left of the two bounds on those one by one.
struct Left {
    looks: usize,
    tries: usize,
}

impl Search<'_> {
    pub(super) fn try_newcomers(&mut self, reference: &Reference) {
        let everybody = self.engine.registry.providers.len();
        if self.asked.revision.durations.learned().count() as usize == everybody {
            return;
        }
        let Some((_, least, _)) = self.engine.shelf.speeds.steps().next() else { return };
        if self.few(Who::Newcomers).is_some() || !self.try_by_step(reference) {
            self.look(Who::Newcomers, at_least(reference.prior(least).wall_us));
        }
    }

    /// Tries the cheapest of each step; whether none of the others can be among the best two.
    fn try_by_step(&mut self, reference: &Reference) -> bool {
        let least = self.least_tariff();
        let line = |general| self.least_line(&least, reference.prior(general).wall_us);
        let steps = self.engine.shelf.speeds.steps();
        let steps: Vec<(usize, Line, u64)> =
            steps.map(|(step, general, cheapest)| (step, line(general), cheapest)).collect();
        let promising = steps.iter().min_by_key(|(_, line, cheapest)| line.at(*cheapest)).map(|(step, ..)| *step);
        let cuts = self.asked.has_max_cost();
        let mut left = Left { looks: LOOKED_AT, tries: if cuts { CUT_TRIED } else { TRIED } };
        // The most promising first, so that the others are seen to be too dear.
        let first = steps.iter().filter(|(step, ..)| Some(*step) == promising);
        let others = steps.iter().filter(|(step, ..)| Some(*step) != promising);
        first.chain(others).all(|(step, line, cheapest)| self.try_step(*step, line, *cheapest, &mut left))
    }

    /// Every offer where the bid may be served bills at least what this tariff does.
    fn least_tariff(&self) -> Tariff {
        let indices = self.markets.iter().map(|(market, _)| &self.engine.shelf.markets[market.index()]);
        let per_request = indices.filter_map(Index::least_per_request).min();
        Tariff { per_request: per_request.unwrap_or(Price::ZERO), ..LEAST }
    }

    /// What a call of at least that duration costs at least.
    fn least_line(&self, least: &Tariff, wall_us: u64) -> Line {
        let usage = self.within_timeout(at_least(wall_us));
        Line::of_tariff(least, 0, self.asked.revision.code.memory_mb, &usage)
    }

    /// Tries those of a step, cheapest first; false if what is left of the bounds ends before.
    fn try_step(&mut self, step: usize, line: &Line, cheapest: u64, left: &mut Left) -> bool {
        if self.bound().is_some_and(|bound| line.is_above(cheapest, bound)) {
            return true;
        }
        let speeds = &self.engine.shelf.speeds;
        for priced in speeds.of(step) {
            if self.bound().is_some_and(|bound| line.is_above(priced.rate, bound)) {
                return true;
            }
            if left.looks == 0 || left.tries == 0 {
                return false;
            }
            left.looks -= 1;
            if self.is(Who::Newcomers, priced.provider) {
                left.tries -= usize::from(self.try_provider(priced.provider));
            }
        }
        true
    }
}
