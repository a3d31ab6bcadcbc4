//! Estimates of a revision at each provider: learned, used in predictions, and forgotten.

use merit_engine::Lease;
use merit_terms::{ProviderId, Time, Usage};

use super::Twin;
use super::durations::{OCTAVE, logarithm, micros, moved, predicted, predicted_on_prior, ratio};

/// Predicted wall time of a revision that nobody has run, in microseconds.
const UNKNOWN_US: u64 = 100_000;
const PAIRS_MAX: usize = 4096;
/// Time untouched after which an estimate moves towards the others, in seconds.
const DECAYS_AFTER_S: u64 = 600;

/// One provider's estimate for one revision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    provider: ProviderId,
    /// Logarithms of wall and CPU time.
    wall: i32,
    cpu: i32,
    cold_us: i64,
    /// Settlements seen, up to 8.
    seen: i32,
    touched: Time,
}

/// Prediction of a call, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prediction {
    pub(super) wall_us: u64,
    pub(super) cpu_us: u64,
    pub(super) cold_us: u64,
    pub(super) on_prior: bool,
}

/// Returns the median wall time, of an even number the lower of the middle two, with that provider's CPU time.
fn reference<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Option<(i32, i32)> {
    let mut pairs: Vec<&Pair> = pairs.collect();
    pairs.sort_by_key(|pair| (pair.wall, pair.provider));
    let middle = pairs.len().checked_sub(1)? / 2;
    Some((pairs[middle].wall, pairs[middle].cpu))
}

pub(super) fn predict(learned: &[Pair], id: ProviderId, general_ratio: i32) -> Prediction {
    let Some((wall, cpu)) = reference(learned.iter()) else {
        return Prediction { wall_us: UNKNOWN_US, cpu_us: UNKNOWN_US, cold_us: 0, on_prior: false };
    };
    match learned.iter().find(|pair| pair.provider == id) {
        Some(own) => Prediction {
            wall_us: predicted(own.wall, wall),
            cpu_us: predicted(own.cpu, cpu),
            cold_us: if own.cold_us == 0 { 0 } else { micros(logarithm(own.cold_us as u64)) },
            on_prior: false,
        },
        None => {
            let prior = |reference| predicted_on_prior(reference, general_ratio);
            Prediction { wall_us: prior(wall), cpu_us: prior(cpu), cold_us: 0, on_prior: true }
        }
    }
}

impl Pair {
    fn first(lease: &Lease, at: Time, usage: &Usage) -> Pair {
        Pair {
            provider: lease.provider,
            wall: logarithm(usage.wall_us),
            cpu: logarithm(usage.cpu_us),
            cold_us: usage.cold_us as i64,
            seen: 1,
            touched: at,
        }
    }

    /// Takes the mean of up to 8 settlements, then a moving one; differences are rounded towards the old value.
    fn learn(&mut self, usage: &Usage) {
        self.seen = 8.min(self.seen + 1);
        let within = |estimate: i32, observed: i32| observed.clamp(estimate - OCTAVE, estimate + OCTAVE);
        self.wall += (within(self.wall, logarithm(usage.wall_us)) - self.wall) / self.seen;
        self.cpu += (within(self.cpu, logarithm(usage.cpu_us)) - self.cpu) / self.seen;
        self.cold_us += (usage.cold_us as i64 - self.cold_us) / i64::from(self.seen);
    }
}

impl Twin {
    /// Learns the provider's duration for this revision and its general ratio, and decays untouched estimates.
    pub(super) fn learn(&mut self, at: Time, lease: &Lease, usage: &Usage) {
        let most_cpu_us = usage.wall_us * u64::from(lease.vcpus_milli) / 1000;
        let usage = Usage { cpu_us: usage.cpu_us.min(most_cpu_us), ..*usage };
        let learned = &mut self.functions[lease.function.index()].revisions[lease.revision as usize - 1].learned;
        let pair = match learned.iter().position(|pair| pair.provider == lease.provider) {
            Some(known) => {
                let mut pair = learned.remove(known);
                pair.learn(&usage);
                Pair { touched: at, ..pair }
            }
            None => {
                if learned.len() >= PAIRS_MAX {
                    learned.remove(0);
                }
                Pair::first(lease, at, &usage)
            }
        };
        if let Some((others, _)) = reference(learned.iter()) {
            let general = &mut self.providers[lease.provider.index()].general_ratio;
            *general = moved(*general, ratio(pair.wall, others));
        }
        learned.push(pair);
        (0..2).for_each(|_| decay(at, learned));
    }
}

/// Moves the pair longest untouched half way towards the others.
fn decay(at: Time, learned: &mut Vec<Pair>) {
    let seconds = |at: Time| at.micros() / 1_000_000;
    let Some(mut pair) = learned.first().copied().filter(|pair| seconds(pair.touched) + DECAYS_AFTER_S <= seconds(at))
    else {
        return;
    };
    learned.remove(0);
    if let Some((wall, cpu)) = reference(learned.iter()) {
        pair.wall += (wall - pair.wall) / 2;
        pair.cpu += (cpu - pair.cpu) / 2;
        pair.cold_us /= 2;
    }
    learned.push(Pair { touched: at, ..pair });
}
