//! The learned durations of one revision, a pair for each provider that has run it.
//!
//! Owns the estimates, their order by wall time and by age, and their decay. A pair takes 32 bytes from its first
//! settlement on, 8 more in the order by wall time, and 4 bytes and a bit in the index by provider.

use merit_terms::{ProviderId, Usage};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::estimate::{LogDuration, Ratio};
use super::reference::{Predicted, Reference};
use crate::collections::bits::Bits;

/// Settlements averaged into an estimate; each later one moves it by this part of the difference.
const WEIGHT: u32 = 8;
/// Age at which an estimate decays, in seconds since it last learned or decayed.
const STALE_AFTER_S: u32 = 600;
/// Maximum estimates that decay with one settlement.
const DECAYS_MAX: usize = 2;
/// Maximum pairs of a revision; one more evicts the oldest.
pub(crate) const PAIRS_MAX: usize = 4096;
const NONE: u32 = u32::MAX;

/// The estimates of one revision at one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) provider: u32,
    pub(crate) wall: LogDuration,
    pub(crate) cpu: LogDuration,
    /// Mean cold start, in microseconds; 0 for most.
    pub(crate) cold_us: u32,
    /// Settlements learned from, up to [`WEIGHT`].
    pub(crate) seen: u32,
    /// Time of the last learning or decay, in seconds since 1970.
    pub(crate) touched_s: u32,
    /// Neighbours in the order by age, oldest first.
    #[serde(skip)]
    older: u32,
    #[serde(skip)]
    newer: u32,
}

/// The measured usage of one settlement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    pub(crate) usage: Usage,
    pub(crate) vcpus_milli: u32,
    pub(crate) at_s: u32,
}

/// Saved as its pairs, oldest first; the rest is computed from them.
#[derive(Clone, Debug)]
pub(crate) struct Durations {
    pairs: Vec<Pair>,
    /// Wall time and provider of each pair, fastest first.
    by_wall: Vec<(LogDuration, u32)>,
    /// By provider: the index of its pair plus one; 0 without a pair.
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
    /// Returns the providers with a pair.
    pub(crate) fn learned(&self) -> &Bits {
        &self.learned
    }

    /// Returns wall time and provider of each pair, fastest first.
    pub(crate) fn fastest(&self) -> &[(LogDuration, u32)] {
        &self.by_wall
    }

    /// Walks through the pairs, oldest first.
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

    /// Returns the wall time and the provider at the median; for an even number, the lower of the middle two.
    fn median(&self) -> Option<(LogDuration, u32)> {
        self.by_wall.get(self.by_wall.len().checked_sub(1)? / 2).copied()
    }

    /// Returns the median of all pairs but this one.
    fn median_without(&self, pair: &Pair) -> Option<(LogDuration, u32)> {
        let others = self.by_wall.len().checked_sub(2)?;
        let own = self.by_wall.partition_point(|entry| *entry < (pair.wall, pair.provider));
        let middle = others / 2;
        self.by_wall.get(if middle < own { middle } else { middle + 1 }).copied()
    }

    fn cpu_of(&self, provider: u32) -> LogDuration {
        self.get(provider).map_or(LogDuration::default(), |pair| pair.cpu)
    }

    /// Returns the durations at the median provider. None without history.
    pub(crate) fn reference(&self) -> Option<Reference> {
        let (wall, provider) = self.median()?;
        Some(Reference { wall, cpu: self.cpu_of(provider) })
    }

    /// Predicts the durations at a provider from its pair or, without one, from the reference and its general ratio.
    pub(crate) fn predict(&self, reference: Option<Reference>, provider: ProviderId, general: Ratio) -> Predicted {
        let Some(reference) = reference else {
            return Predicted::UNKNOWN;
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

    /// Learns from a settlement. Returns the provider's ratio to the median of the others, if there are others.
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

    /// Makes the first pair of a provider; a full list evicts its oldest.
    fn begin(&mut self, provider: u32, seen: &Observation) {
        let (wall, cpu) = seen.logarithms();
        self.add(Pair {
            provider,
            wall,
            cpu,
            cold_us: u32::try_from(seen.usage.cold_us).unwrap_or(u32::MAX),
            seen: 1,
            touched_s: seen.at_s,
            older: NONE,
            newer: NONE,
        });
    }

    fn add(&mut self, pair: Pair) {
        let Pair { provider, wall, .. } = pair;
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

    /// Averages the first settlements, then moves by a part of the difference. An observation is clamped to an octave
    /// around the estimate: an outlier moves it by an eighth of an octave at most.
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

    /// Moves stale pairs halfway to the median of the others.
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

    /// Restores the order by wall time after a pair's wall time changed from `before`.
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

impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A list of known length: some formats write it first.
        self.oldest_first().collect::<Vec<_>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Durations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Durations, D::Error> {
        let mut durations = Durations::default();
        Vec::<Pair>::deserialize(deserializer)?.into_iter().for_each(|pair| durations.add(pair));
        Ok(durations)
    }
}

impl Observation {
    /// Returns the logarithms of wall and CPU time; CPU is at most wall x vCPUs.
    fn logarithms(&self) -> (LogDuration, LogDuration) {
        let most = u128::from(self.usage.wall_us) * u128::from(self.vcpus_milli) / 1000;
        let cpu_us = self.usage.cpu_us.min(u64::try_from(most).unwrap_or(u64::MAX));
        (LogDuration::of_micros(self.usage.wall_us), LogDuration::of_micros(cpu_us))
    }
}

#[cfg(test)]
#[path = "../../tests/unit/prediction/durations.rs"]
mod tests;
