//! The reference of a revision, its usage at the median provider, and predictions relative to it.

use merit_terms::{Money, Tariff, Usage};

use super::estimate::{LogDuration, Ratio};

/// Below this part of the best provider's success an offer is ranked last.
const PARTS_OF_BEST: u32 = 8;

/// The prediction of a revision that nobody has run: the reference call everywhere, so that tariffs alone rank.
pub(crate) const UNKNOWN: Predicted = Predicted {
    wall_us: Tariff::REFERENCE_USAGE.wall_us,
    usage: Tariff::REFERENCE_USAGE,
    paid_eighths: 8,
    calls: CallsPerAnswer::ONE,
    source: Source::Unknown,
};

/// The prediction of a call at one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predicted {
    /// Estimated median wall time, in microseconds: what a caller waits, without the cold start.
    pub(crate) wall_us: u64,
    /// Mean usage: what is billed.
    pub(crate) usage: Usage,
    /// The mean amount paid over the cost of the mean usage, in eighths.
    pub(crate) paid_eighths: u32,
    pub(crate) calls: CallsPerAnswer,
    pub(crate) source: Source,
}

/// The base of a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody has run the revision.
    Unknown,
    /// The provider has no history with the revision: half the median of the others.
    Prior,
    /// Usage that the provider reported.
    Reported,
    /// Time that the broker observed: the provider reports nothing.
    Observed,
}

/// Expected calls for an answer, relative to the best provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallsPerAnswer {
    /// 0 means unbounded: hardly one succeeds.
    eighths: u32,
}

/// The usage of a revision at the median of the providers with history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    pub(super) wall: LogDuration,
    pub(super) mean_wall_us: u64,
    pub(super) cpu_us: u64,
    pub(super) egress_bytes: u64,
    pub(super) newcomers: CallsPerAnswer,
}

impl Predicted {
    /// Makes a lower bound: a prediction of this wall time and nothing else.
    pub(crate) const fn at_least(wall_us: u64) -> Predicted {
        let usage = Usage { wall_us, cpu_us: 0, cold_us: 0, egress_bytes: 0 };
        Predicted { wall_us, usage, ..UNKNOWN }
    }

    /// Returns a lower bound of what an answer costs over what the mean usage costs, in 64ths.
    pub(crate) fn least_64ths(&self) -> u32 {
        self.paid_eighths.min(8) * if self.calls.eighths == 0 { 8 } else { self.calls.eighths }
    }

    /// Returns the expected bill of a call whose mean usage costs `cost`, up to `worst`.
    pub(crate) fn bill(&self, cost: Money, worst: Money) -> Money {
        if self.paid_eighths == 8 { cost } else { cost.times_eighths(self.paid_eighths).min(worst) }
    }
}

impl CallsPerAnswer {
    pub(crate) const ONE: CallsPerAnswer = CallsPerAnswer { eighths: 8 };

    /// Compares a provider's success with the best one; within a fifth they are alike.
    pub(super) fn of(success: u8, best: u8) -> CallsPerAnswer {
        let (success, best) = (u32::from(success), u32::from(best));
        if success * 5 >= best * 4 {
            CallsPerAnswer::ONE
        } else if success * PARTS_OF_BEST < best {
            CallsPerAnswer { eighths: 0 }
        } else {
            CallsPerAnswer { eighths: best * 8 / success }
        }
    }

    /// Assumes that each call succeeds at a provider without history: where the best one fails often, others are tried.
    pub(super) fn of_newcomer(best: u8) -> CallsPerAnswer {
        let best = u32::from(best);
        let is_alike = best * 5 >= u32::from(u8::MAX) * 4;
        CallsPerAnswer { eighths: if is_alike { 8 } else { (best * 8 / u32::from(u8::MAX)).max(1) } }
    }

    /// Caps at one call for an answer; unbounded becomes one.
    pub(crate) fn at_most_one(self) -> CallsPerAnswer {
        if (1..8).contains(&self.eighths) { self } else { CallsPerAnswer::ONE }
    }

    /// Returns the expected bill of an answer, given that of a call.
    pub(crate) fn bill(self, call: Money) -> Money {
        match self.eighths {
            0 => Money::MAX,
            8 => call,
            eighths => call.times_eighths(eighths),
        }
    }

    /// Returns the provider's success over the best one, in percent.
    pub(crate) fn success_percent(self) -> u32 {
        800_u32.checked_div(self.eighths).unwrap_or(0).min(100)
    }
}

impl Reference {
    /// Returns a lower bound of the predictions for providers without history, of at least this general ratio.
    pub(crate) fn prior_at_least(&self, general: Ratio) -> Predicted {
        Predicted { calls: self.newcomers, ..Predicted::at_least(self.prior(general).usage.wall_us) }
    }

    /// Predicts a provider without history: half the median x its general ratio, so that one call tries it.
    pub(crate) fn prior(&self, general: Ratio) -> Predicted {
        let usage = Usage {
            wall_us: LogDuration::at_step(self.mean_wall_us).half_times(general),
            cpu_us: match self.cpu_us {
                0 => 0,
                cpu_us => LogDuration::at_step(cpu_us).half_times(general),
            },
            cold_us: 0,
            egress_bytes: self.egress_bytes,
        };
        let wall_us = self.wall.half_times(general);
        Predicted { wall_us, usage, paid_eighths: 8, calls: self.newcomers, source: Source::Prior }
    }
}
