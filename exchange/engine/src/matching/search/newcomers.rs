//! Those that have not run a revision yet: predicted alike in each step of how they compare, so that few of each decide.

use merit_terms::{Price, Tariff};

use super::lines::Line;
use super::{Search, Who, at_least};
use crate::prediction::durations::Reference;
use crate::prediction::estimate::Ratio;
use crate::supply::index::Index;

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

/// What every newcomer costs at least, and what is left of the two bounds on looking at them.
struct Trial<'a> {
    reference: &'a Reference,
    least: Tariff,
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
        let tries = if self.asked.has_max_cost() { CUT_TRIED } else { TRIED };
        let mut trial = Trial { reference, least: self.least_tariff(), looks: LOOKED_AT, tries };
        let steps = self.engine.shelf.speeds.steps();
        let steps = steps.map(|(step, general, cheapest)| (step, self.line(&trial, general), cheapest));
        let steps: Vec<(usize, Line, u64)> = steps.collect();
        // The most promising first, so that the others are seen to be too dear.
        let promising = steps.iter().min_by_key(|(_, line, cheapest)| line.at(*cheapest)).map(|(step, ..)| *step);
        let first = steps.iter().filter(|(step, ..)| Some(*step) == promising);
        let others = steps.iter().filter(|(step, ..)| Some(*step) != promising);
        first
            .chain(others)
            .all(|(step, line, cheapest)| self.is_too_dear(line, *cheapest) || self.try_step(*step, line, &mut trial))
    }

    /// Every offer where the bid may be served bills at least what this tariff does.
    fn least_tariff(&self) -> Tariff {
        let indices = self.markets.iter().map(|(market, _)| &self.engine.shelf.markets[market.index()]);
        let per_request = indices.filter_map(Index::least_per_request).min();
        Tariff { per_request: per_request.unwrap_or(Price::ZERO), ..LEAST }
    }

    /// What a call costs at least at a newcomer with at least that general ratio.
    fn line(&self, trial: &Trial<'_>, general: Ratio) -> Line {
        let usage = self.within_timeout(at_least(trial.reference.prior(general).wall_us));
        Line::of_tariff(&trial.least, 0, self.asked.revision.code.memory_mb, &usage)
    }

    fn is_too_dear(&self, line: &Line, rate: u64) -> bool {
        self.bound().is_some_and(|bound| line.is_above(rate, bound))
    }

    /// Tries those of a step, cheapest first; false if one of the bounds on it ends before.
    fn try_step(&mut self, step: usize, line: &Line, trial: &mut Trial<'_>) -> bool {
        for priced in self.engine.shelf.speeds.of(step) {
            if self.is_too_dear(line, priced.rate) {
                return true;
            }
            if trial.looks == 0 || trial.tries == 0 {
                return false;
            }
            trial.looks -= 1;
            if self.is(Who::Newcomers, priced.provider)
                && !self.is_too_dear(&self.line(trial, priced.general), priced.rate)
            {
                trial.tries -= usize::from(self.try_provider(priced.provider));
            }
        }
        true
    }
}
