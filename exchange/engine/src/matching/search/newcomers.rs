//! Newcomers, the providers without history: predicted alike in each step of their general ratio, so that few of each
//! decide.

use merit_terms::{Price, Tariff};

use super::Search;
use super::cohort::Cohort;
use super::lines::Line;
use crate::prediction::estimate::Ratio;
use crate::prediction::reference::Reference;
use crate::supply::index::Index;

/// Maximum newcomers looked at before the rest is walked through.
const LOOKED_AT: usize = 1024;
/// Maximum newcomers tried before the rest is walked through.
const TRIED: usize = 64;
/// Maximum newcomers tried where the max cost may cut what calls cost, so that no price ends the trials.
const CUT_TRIED: usize = 16;

/// A tariff that bills no more than any other.
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

/// The least cost of every newcomer, and the rest of the two bounds on looking at them.
struct NewcomerTrials<'a> {
    reference: &'a Reference,
    least: Tariff,
    looks: usize,
    tries: usize,
}

impl Search<'_> {
    /// Tries the newcomers step by step, or walks through them where those are too many.
    pub(super) fn try_newcomers(&mut self, reference: &Reference) {
        let everybody = self.engine.registry.providers().len();
        if self.resolved.revision.learned().providers().count() as usize == everybody {
            return;
        }
        let Some((_, least, _)) = self.engine.shelf.speeds().steps().next() else { return };
        if self.few(Cohort::Newcomers).is_some() || !self.try_by_step(reference) {
            self.look(Cohort::Newcomers, reference.prior_at_least(least));
        }
    }

    /// Tries the cheapest of each step. Returns whether none of the others can be among the best two.
    fn try_by_step(&mut self, reference: &Reference) -> bool {
        let tries = if self.resolved.has_max_cost() { CUT_TRIED } else { TRIED };
        let mut trial = NewcomerTrials { reference, least: self.least_tariff(), looks: LOOKED_AT, tries };
        let steps = self.engine.shelf.speeds().steps();
        let steps = steps.map(|(step, general, cheapest)| (step, self.newcomer_line(&trial, general), cheapest));
        let steps: Vec<(usize, Line, u64)> = steps.collect();
        // The most promising step first: it bounds the others.
        let promising = steps.iter().min_by_key(|(_, line, cheapest)| line.at(*cheapest)).map(|(step, ..)| *step);
        let first = steps.iter().filter(|(step, ..)| Some(*step) == promising);
        let others = steps.iter().filter(|(step, ..)| Some(*step) != promising);
        first
            .chain(others)
            .all(|(step, line, cheapest)| self.is_too_dear(line, *cheapest) || self.try_step(*step, line, &mut trial))
    }

    /// Returns a tariff that bills no more than any offer where the bid may be served.
    fn least_tariff(&self) -> Tariff {
        let indices = self.markets.iter().map(|(market, _)| self.engine.shelf.index(*market));
        let per_request = indices.filter_map(Index::least_per_request).min();
        Tariff { per_request: per_request.unwrap_or(Price::ZERO), ..LEAST }
    }

    /// Returns the least cost of a call at a newcomer with at least this general ratio.
    fn newcomer_line(&self, trial: &NewcomerTrials<'_>, general: Ratio) -> Line {
        let least = trial.reference.prior_at_least(general);
        let line = Line::of_tariff(&trial.least, 0, self.resolved.revision.code.memory_mb, &self.billed(&least));
        line.times_64ths(least.least_64ths())
    }

    fn is_too_dear(&self, line: &Line, rate: u64) -> bool {
        self.bound().is_some_and(|bound| line.is_above(rate, bound))
    }

    /// Tries the newcomers of a step, cheapest first. Returns false if one of the bounds ends it.
    fn try_step(&mut self, step: usize, line: &Line, trial: &mut NewcomerTrials<'_>) -> bool {
        for priced in self.engine.shelf.speeds().of(step) {
            if self.is_too_dear(line, priced.rate) {
                return true;
            }
            if trial.looks == 0 || trial.tries == 0 {
                return false;
            }
            trial.looks -= 1;
            if self.is(Cohort::Newcomers, priced.provider)
                && !self.is_too_dear(&self.newcomer_line(trial, priced.general), priced.rate)
            {
                trial.tries -= usize::from(self.try_provider(priced.provider));
            }
        }
        true
    }
}
