//! What was learned of one revision: how long it takes at each provider that has run it.
//!
//! Owns the estimates, their order by wall time, and what grows old. 32 bytes a pair of revision and provider, made at
//! its first settlement, and 8 for its place in the order; 4 bytes and a bit a provider to find it.

use merit_terms::{ProviderId, Usage};
use serde::{Deserialize, Serialize};

use crate::collections::bits::Bits;
use crate::prediction::estimate::{LogDuration, Ratio};

/// After this many settlements each new one moves the estimate by this part of the difference.
const WEIGHT: u32 = 8;
/// An estimate decays once nothing was learned of it for so long.
const STALE_AFTER_S: u32 = 600;
/// The most estimates that decay with one settlement.
const DECAYS_MAX: usize = 2;
/// The most pairs of a revision; a new one takes the place of the one that was touched longest ago.
pub(crate) const PAIRS_MAX: usize = 4096;
const NONE: u32 = u32::MAX;

/// A revision that nobody has run is predicted to take this long everywhere, so that tariffs alone rank.
pub(crate) const UNKNOWN_US: u64 = 100_000;

/// What is learned of a revision at one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) provider: u32,
    pub(crate) wall: LogDuration,
    pub(crate) cpu: LogDuration,
    /// The mean cold start, in microseconds; most are 0.
    pub(crate) cold_us: u32,
    /// Settlements seen, up to [`WEIGHT`].
    pub(crate) seen: u32,
    /// When it learned or decayed last, in seconds since 1970.
    pub(crate) touched_s: u32,
    /// Neighbours in order of that, oldest first.
    older: u32,
    newer: u32,
}

/// What is predicted of a provider, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Predicted {
    pub(crate) wall_us: u64,
    pub(crate) cpu_us: u64,
    pub(crate) cold_us: u64,
    /// Whether it rests on no history of the provider.
    pub(crate) on_prior: bool,
}

/// The rules by which an observation counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    pub(crate) usage: Usage,
    pub(crate) vcpus_milli: u32,
    pub(crate) at_s: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Durations {
    pairs: Vec<Pair>,
    /// Wall time and provider of each pair, fastest first.
    by_wall: Vec<(LogDuration, u32)>,
    /// Where a provider's pair is, plus one; 0: it has none.
    places: Vec<u32>,
    learned: Bits,
    oldest: u32,
    newest: u32,
}

impl Default for Durations {
    fn default() -> Durations {
        Durations {
            pairs: Vec::new(),
            by_wall: Vec::new(),
            places: Vec::new(),
            learned: Bits::default(),
            oldest: NONE,
            newest: NONE,
        }
    }
}

impl Durations {
    /// Who has run it.
    pub(crate) fn learned(&self) -> &Bits {
        &self.learned
    }

    /// Wall time and provider of each pair, fastest first.
    pub(crate) fn fastest(&self) -> &[(LogDuration, u32)] {
        &self.by_wall
    }

    /// Every pair, oldest first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &Pair> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let pair = self.pairs.get(next as usize)?;
            next = pair.newer;
            Some(pair)
        })
    }

    fn get(&self, provider: u32) -> Option<&Pair> {
        let place = self.places.get(provider as usize)?.checked_sub(1)?;
        self.pairs.get(place as usize)
    }

    /// The wall time and the provider at the median; of an even number the lower of the middle two.
    fn median(&self) -> Option<(LogDuration, u32)> {
        self.by_wall.get(self.by_wall.len().checked_sub(1)? / 2).copied()
    }

    /// The same without one of them.
    fn median_without(&self, pair: &Pair) -> Option<(LogDuration, u32)> {
        let others = self.by_wall.len().checked_sub(2)?;
        let own = self.by_wall.partition_point(|entry| *entry < (pair.wall, pair.provider));
        let middle = others / 2;
        self.by_wall.get(if middle < own { middle } else { middle + 1 }).copied()
    }

    fn cpu_of(&self, provider: u32) -> LogDuration {
        self.get(provider).map_or(LogDuration::default(), |pair| pair.cpu)
    }

    /// What is predicted of all that have and have not run it: the reference durations.
    pub(crate) fn reference(&self) -> Option<Reference> {
        let (wall, provider) = self.median()?;
        Some(Reference { wall, cpu: self.cpu_of(provider) })
    }

    /// The prediction for a provider, given the reference of this revision.
    pub(crate) fn predict(&self, reference: Option<Reference>, provider: ProviderId, general: Ratio) -> Predicted {
        let Some(reference) = reference else {
            return Predicted { wall_us: UNKNOWN_US, cpu_us: UNKNOWN_US, cold_us: 0, on_prior: false };
        };
        match self.get(provider.number()) {
            None => reference.prior(general),
            Some(pair) => Predicted {
                wall_us: reference.wall_of(pair.wall).micros(),
                cpu_us: reference.cpu.times(pair.cpu.minus(reference.cpu)).micros(),
                cold_us: match pair.cold_us {
                    0 => 0,
                    cold_us => LogDuration::of_micros(cold_us.into()).micros(),
                },
                on_prior: false,
            },
        }
    }

    /// Learns from a settlement; how the provider compares with the median of the others, if there are any.
    pub(crate) fn learn(&mut self, provider: ProviderId, seen: &Observation) -> Option<Ratio> {
        let provider = provider.number();
        match self.places.get(provider as usize).and_then(|place| place.checked_sub(1)) {
            Some(place) => self.observe(place, seen),
            None => self.begin(provider, seen),
        }
        let pair = *self.get(provider)?;
        let ratio = self.median_without(&pair).map(|(others, _)| pair.wall.minus(others));
        self.decay(seen.at_s);
        ratio
    }

    fn begin(&mut self, provider: u32, seen: &Observation) {
        let (wall, cpu) = seen.logarithms();
        let pair = Pair {
            provider,
            wall,
            cpu,
            cold_us: u32::try_from(seen.usage.cold_us).unwrap_or(u32::MAX),
            seen: 1,
            touched_s: seen.at_s,
            older: NONE,
            newer: NONE,
        };
        let place = if self.pairs.len() < PAIRS_MAX {
            self.pairs.push(pair);
            (self.pairs.len() - 1) as u32
        } else {
            let place = self.oldest;
            let gone = self.pairs[place as usize];
            self.unlink(place);
            self.take_out((gone.wall, gone.provider));
            self.places[gone.provider as usize] = 0;
            self.learned.set(gone.provider as usize, false);
            self.pairs[place as usize] = pair;
            place
        };
        self.link_newest(place);
        let at = self.by_wall.partition_point(|entry| *entry < (wall, provider));
        self.by_wall.insert(at, (wall, provider));
        if self.places.len() <= provider as usize {
            self.places.resize(provider as usize + 1, 0);
        }
        self.places[provider as usize] = place + 1;
        self.learned.set(provider as usize, true);
    }

    /// The mean of the first settlements, then a moving one. One observation counts within an octave of what is known,
    /// so that an outlier moves it by an eighth of an octave at most.
    fn observe(&mut self, place: u32, seen: &Observation) {
        let pair = &mut self.pairs[place as usize];
        let before = pair.wall;
        pair.seen = (pair.seen + 1).min(WEIGHT);
        let (wall, cpu) = seen.logarithms();
        pair.wall = pair.wall.moved_towards(wall.within_an_octave_of(pair.wall), pair.seen as i32);
        pair.cpu = pair.cpu.moved_towards(cpu.within_an_octave_of(pair.cpu), pair.seen as i32);
        let cold_us = i64::try_from(seen.usage.cold_us).unwrap_or(i64::MAX).min(u32::MAX.into());
        let step = (cold_us - i64::from(pair.cold_us)) / i64::from(pair.seen);
        pair.cold_us = (i64::from(pair.cold_us) + step) as u32; // between two values of 32 bits
        pair.touched_s = seen.at_s;
        self.moved(place, before);
        self.unlink(place);
        self.link_newest(place);
    }

    /// What nobody has told anything of for long moves halfway to the median of the others.
    fn decay(&mut self, at_s: u32) {
        for _ in 0..DECAYS_MAX {
            let place = self.oldest;
            let Some(pair) = self.pairs.get(place as usize).copied() else { return };
            if u64::from(pair.touched_s) + u64::from(STALE_AFTER_S) > u64::from(at_s) {
                return;
            }
            let towards = self.median_without(&pair).map(|(wall, provider)| (wall, self.cpu_of(provider)));
            let aged = &mut self.pairs[place as usize];
            if let Some((wall, cpu)) = towards {
                aged.wall = aged.wall.moved_towards(wall, 2);
                aged.cpu = aged.cpu.moved_towards(cpu, 2);
                aged.cold_us /= 2;
            }
            aged.touched_s = at_s;
            self.moved(place, pair.wall);
            self.unlink(place);
            self.link_newest(place);
        }
    }

    /// Puts a pair to its place in the order after its wall time was `before`.
    fn moved(&mut self, place: u32, before: LogDuration) {
        let Pair { wall, provider, .. } = self.pairs[place as usize];
        if wall == before {
            return;
        }
        let from = self.by_wall.partition_point(|entry| *entry < (before, provider));
        self.by_wall[from].0 = wall;
        if wall > before {
            let past = from + 1 + self.by_wall[from + 1..].partition_point(|entry| *entry < (wall, provider));
            self.by_wall[from..past].rotate_left(1);
        } else {
            let to = self.by_wall[..from].partition_point(|entry| *entry < (wall, provider));
            self.by_wall[to..=from].rotate_right(1);
        }
    }

    fn take_out(&mut self, entry: (LogDuration, u32)) {
        if let Ok(at) = self.by_wall.binary_search(&entry) {
            self.by_wall.remove(at);
        }
    }

    fn unlink(&mut self, place: u32) {
        let Pair { older, newer, .. } = self.pairs[place as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.pairs[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.pairs[newer as usize].older = older,
        }
    }

    fn link_newest(&mut self, place: u32) {
        let newest = std::mem::replace(&mut self.newest, place);
        let pair = &mut self.pairs[place as usize];
        (pair.older, pair.newer) = (newest, NONE);
        match newest {
            NONE => self.oldest = place,
            newest => self.pairs[newest as usize].newer = place,
        }
    }
}

impl Observation {
    fn logarithms(&self) -> (LogDuration, LogDuration) {
        let most = u128::from(self.usage.wall_us) * u128::from(self.vcpus_milli) / 1000;
        let cpu_us = self.usage.cpu_us.min(u64::try_from(most).unwrap_or(u64::MAX));
        (LogDuration::of_micros(self.usage.wall_us), LogDuration::of_micros(cpu_us))
    }
}

/// What a revision takes at the median of the providers that have run it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    wall: LogDuration,
    cpu: LogDuration,
}

impl Reference {
    /// A wall time within the bounds of a ratio to the reference.
    pub(crate) fn wall_of(&self, wall: LogDuration) -> LogDuration {
        self.wall.times(wall.minus(self.wall))
    }

    /// Half the median x how the provider compares in general, so that one call tries it.
    pub(crate) fn prior(&self, general: Ratio) -> Predicted {
        let prior = |reference: LogDuration| reference.octave_less().times(general).micros();
        Predicted { wall_us: prior(self.wall), cpu_us: prior(self.cpu), cold_us: 0, on_prior: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(wall_us: u64, at_s: u32) -> Observation {
        let usage = Usage { wall_us, cpu_us: wall_us, ..Usage::default() };
        Observation { usage, vcpus_milli: 1000, at_s }
    }

    fn wall_us(durations: &Durations, provider: u32) -> u64 {
        durations.predict(durations.reference(), ProviderId::new(provider), Ratio::default()).wall_us
    }

    fn taught(walls: &[u64]) -> Durations {
        let mut durations = Durations::default();
        for (provider, wall) in (0..).map(ProviderId::new).zip(walls) {
            durations.learn(provider, &ran(*wall, 0));
        }
        durations
    }

    #[test]
    fn an_estimate_follows_a_drift() {
        let mut durations = taught(&[1_000]);
        for _ in 0..80 {
            durations.learn(ProviderId::new(0), &ran(8_000, 0));
        }
        assert!((7_500..8_200).contains(&wall_us(&durations, 0)), "{}", wall_us(&durations, 0));
    }

    #[test]
    fn an_outlier_moves_an_estimate_by_an_eighth_of_an_octave_at_most() {
        let mut durations = taught(&[1_000]);
        for _ in 0..10 {
            durations.learn(ProviderId::new(0), &ran(1_000, 0));
        }
        durations.learn(ProviderId::new(0), &ran(3_600_000_000, 0));
        assert!((1_000..=1_100).contains(&wall_us(&durations, 0)), "{}", wall_us(&durations, 0));
    }

    #[test]
    fn an_old_estimate_decays_towards_the_median_of_the_others_and_never_past_it() {
        let mut durations = taught(&[8_000, 1_000, 1_000, 1_000]);
        let mut before = wall_us(&durations, 0);
        for hour in 1..20 {
            for provider in 1..4 {
                durations.learn(ProviderId::new(provider), &ran(1_000, hour * 3600));
            }
            let now = wall_us(&durations, 0);
            assert!((950..=before).contains(&now), "{now} after {before}");
            before = now;
        }
        assert!(before < 1_100, "{before}");
    }

    #[test]
    fn beyond_the_most_pairs_the_oldest_makes_room() {
        let walls: Vec<u64> = (0..PAIRS_MAX as u64 + 10).map(|i| 1_000 + i).collect();
        let durations = taught(&walls);
        assert_eq!((durations.fastest().len(), durations.learned().count() as usize), (PAIRS_MAX, PAIRS_MAX));
        assert!(!durations.learned().has(9) && durations.learned().has(10));
        assert_eq!(durations.oldest_first().count(), PAIRS_MAX);
        assert!(durations.fastest().is_sorted());
    }

    #[test]
    fn a_pair_takes_32_bytes() {
        assert_eq!(size_of::<Pair>(), 32);
    }
}
