//! Lower bounds of a call's cost by an offer's rate per GB-s, and upper bounds of the rates that are cheap enough.
//!
//! Exact integer arithmetic on tariffs; knows no providers and looks at no offer but the cheapest of a form.

use merit_terms::{MarketId, Money, Price, Tariff, Usage, VCPUS_MAX_MILLI};

use crate::Engine;
use crate::supply::index::FormTerms;

/// Lists the cheapest rate of each form in some markets, of `most` forms at most.
pub(super) fn cheapest<'a>(engine: &'a Engine, markets: &[(MarketId, bool)], most: usize) -> Vec<(&'a FormTerms, u64)> {
    let mut cheapest: Vec<(&FormTerms, u64)> = Vec::new();
    for (_, form) in markets.iter().flat_map(|(market, _)| engine.shelf.index(*market).forms()) {
        let Some(first) = form.ranks().first() else { continue };
        match cheapest.iter_mut().find(|(terms, _)| *terms == form.terms()) {
            Some((_, rate)) => *rate = first.rate.min(*rate),
            None => cheapest.push((form.terms(), first.rate)),
        }
        if cheapest.len() == most {
            break;
        }
    }
    cheapest
}

/// The least numerator of a cost as a line over the rate per GB-s, for offers of one form.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) fixed: u128,
    pub(super) slope: u128,
}

impl Line {
    /// Returns the line of a form for a call with at least this usage.
    pub(super) fn of(terms: &FormTerms, memory_mb: u32, usage: &Usage) -> Line {
        Line::of_tariff(&terms.tariff, terms.vcpus_milli, memory_mb, usage)
    }

    /// Returns the line of a tariff with a rate of 0.
    pub(super) fn of_tariff(tariff: &Tariff, vcpus_milli: u32, memory_mb: u32, usage: &Usage) -> Line {
        Line {
            fixed: tariff.numerator(memory_mb, vcpus_milli, usage),
            slope: tariff.numerator_per_rate(memory_mb, usage),
        }
    }

    /// Multiplies the line, rounded down.
    pub(super) fn times_64ths(self, parts: u32) -> Line {
        if parts == 64 {
            return self;
        }
        let times = |numerator: u128| numerator * u128::from(parts) / 64;
        Line { fixed: times(self.fixed), slope: times(self.slope) }
    }

    /// Returns the numerator at `rate`.
    pub(super) fn at(&self, rate: u64) -> u128 {
        self.fixed + u128::from(rate) * self.slope
    }

    /// Returns the greatest rate whose cost is at most `cost`; 0 if even that costs more.
    pub(super) fn greatest_rate_within(&self, cost: Money) -> u64 {
        let most = u128::from(cost.picodollars()) * Tariff::DENOMINATOR;
        match most.checked_sub(self.fixed) {
            None => 0, // no rate is cheap enough; one rate too many is looked at
            Some(_) if self.slope == 0 => u64::MAX,
            Some(rest) => u64::try_from(rest / self.slope).unwrap_or(u64::MAX),
        }
    }

    /// Returns whether the cost at `rate` is more than `cost`.
    pub(super) fn is_above(&self, rate: u64, cost: Money) -> bool {
        self.at(rate) > u128::from(cost.picodollars()) * Tariff::DENOMINATOR
    }

    /// Returns whether the cost at `rate` is at least `cost`.
    pub(super) fn is_at_least(&self, rate: u64, cost: Money) -> bool {
        let Some(below) = cost.picodollars().checked_sub(1) else { return true };
        self.at(rate) > u128::from(below) * Tariff::DENOMINATOR
    }
}

/// Returns the greatest rate whose reference price is at most `price`.
pub(super) fn greatest_rate_at(terms: &FormTerms, price: Price) -> u64 {
    let reference = FormTerms { vcpus_milli: VCPUS_MAX_MILLI, ..*terms };
    let line = Line::of(&reference, Tariff::REFERENCE_MEMORY_MB, &Tariff::REFERENCE_USAGE);
    let calls = price.picodollars() / Tariff::REFERENCE_CALLS_PER_GB_SECOND;
    Money::from_picodollars(calls).map_or(u64::MAX, |cost| line.greatest_rate_within(cost))
}

/// The part of the least duration that a max cost buys, in the worst case.
pub(super) struct Bought {
    worst: Line,
    /// The worst case beyond the prediction, and one increment of time.
    slack: Line,
}

impl Bought {
    pub(super) fn of(terms: &FormTerms, memory_mb: u32, least: &Usage, answer_limit_bytes: u64) -> Bought {
        let least_ms = least.wall_us.div_ceil(1000).max(1);
        let cpu_us = least_ms * 1000 * u64::from(terms.vcpus_milli) / 1000;
        let worst = Usage { wall_us: least_ms * 1000, cpu_us, cold_us: 0, egress_bytes: answer_limit_bytes };
        let step_ms = u64::from(terms.tariff.increment_ms.max(terms.tariff.minimum_ms));
        let step = Usage { wall_us: step_ms * 1000, ..Usage::default() };
        Bought {
            worst: Line::of(terms, memory_mb, &worst),
            slack: Line {
                fixed: terms.tariff.numerator(memory_mb, terms.vcpus_milli, &worst),
                slope: terms.tariff.numerator_per_rate(memory_mb, &step),
            },
        }
    }

    /// Returns the greatest rate within the max cost. None if the CPU alone costs more.
    pub(super) fn greatest_rate_within(&self, max_cost: Money) -> Option<u64> {
        (!self.worst.is_above(0, max_cost)).then(|| self.worst.greatest_rate_within(max_cost))
    }

    /// Returns the least rate at which a duration cut to the max cost may be predicted to cost at most `bound`: a cut
    /// call costs the max cost less the slack.
    pub(super) fn least_rate_below(&self, max_cost: Money, bound: Money) -> u64 {
        let least = u128::from(max_cost.saturating_sub(bound).picodollars()) * Tariff::DENOMINATOR;
        match least.checked_sub(self.slack.fixed) {
            None => 0,
            Some(_) if self.slack.slope == 0 => u64::MAX,
            Some(rest) => u64::try_from(rest / self.slack.slope).unwrap_or(u64::MAX),
        }
    }
}
