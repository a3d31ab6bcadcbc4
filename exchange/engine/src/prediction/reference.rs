//! The reference of a revision, its durations at the median provider, and predictions relative to it.

use super::estimate::{LogDuration, Ratio};

/// Prediction of a revision that nobody has run, in microseconds: the same everywhere, so that tariffs alone rank.
pub(crate) const UNKNOWN_US: u64 = 100_000;

/// The predicted durations of a call at one provider, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predicted {
    pub(crate) wall_us: u64,
    pub(crate) cpu_us: u64,
    pub(crate) cold_us: u64,
    /// True if it is a prior: the provider has no history with the revision.
    pub(crate) on_prior: bool,
}

/// The durations of a revision at the median of the providers with history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    pub(super) wall: LogDuration,
    pub(super) cpu: LogDuration,
}

impl Predicted {
    /// The prediction of a revision without any history.
    pub(crate) const UNKNOWN: Predicted =
        Predicted { wall_us: UNKNOWN_US, cpu_us: UNKNOWN_US, cold_us: 0, on_prior: false };

    /// Makes a lower bound: a prediction of this wall time and nothing else.
    pub(crate) fn at_least(wall_us: u64) -> Predicted {
        Predicted { wall_us, cpu_us: 0, cold_us: 0, on_prior: false }
    }
}

impl Reference {
    /// Clamps a wall time to the bounds of a ratio to the reference.
    pub(crate) fn wall_of(&self, wall: LogDuration) -> LogDuration {
        self.wall.times(wall.minus(self.wall))
    }

    /// Predicts a provider without history: half the median x its general ratio, so that one call tries it.
    pub(crate) fn prior(&self, general: Ratio) -> Predicted {
        let prior = |reference: LogDuration| reference.octave_less().times(general).micros();
        Predicted { wall_us: prior(self.wall), cpu_us: prior(self.cpu), cold_us: 0, on_prior: true }
    }
}
