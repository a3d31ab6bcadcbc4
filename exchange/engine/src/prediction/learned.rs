//! The lessons of settlements about one revision: a pair for each provider that has run it, and means over all of them.
//!
//! Owns the pairs, their order by mean wall time and by age, and their decay. A pair takes 32 bytes from its first
//! settlement on, 8 more in the order by wall time, and 4 bytes and a bit in the index by provider.

use merit_terms::{EGRESS_MAX_BYTES, ProviderId, Usage};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::estimate::{Ratio, rounded};
use super::pair::{ALL_SUCCEED, NONE, Observation, Pair};
use super::reference::{CallsPerAnswer, Predicted, Reference, Source, UNKNOWN};
use crate::collections::bits::Bits;

/// Settlements that a mean over all providers averages.
const MEAN_OVER: u32 = 64;
/// Age at which an estimate decays, in seconds since it last learned or decayed.
const STALE_AFTER_S: u32 = 600;
/// Maximum estimates that decay with one settlement.
const DECAYS_MAX: usize = 2;
/// Maximum pairs of a revision; one more evicts the oldest.
pub(crate) const PAIRS_MAX: usize = 4096;

/// A mean over the last settlements of all providers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Mean {
    value: u64,
    /// Settlements that it averages, up to [`MEAN_OVER`].
    seen: u32,
}

/// Saved as its pairs, oldest first, and its means; the rest is computed from them.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    pairs: Vec<Pair>,
    /// Mean wall time and provider of each pair, fastest first.
    by_wall: Vec<(u32, u32)>,
    /// By provider: the index of its pair plus one; 0 without a pair.
    places: Vec<u32>,
    providers: Bits,
    oldest: u16,
    newest: u16,
    /// CPU time of the calls whose providers reported it, in microseconds.
    cpu: Mean,
    egress: Mean,
    /// True once a call has succeeded. Until then the durations of failures are learned.
    has_succeeded: bool,
    /// Success of the best pair.
    best: u8,
    /// Pairs that are paid less than is predicted.
    paid_less: u32,
}

/// The saved part.
#[derive(Serialize, Deserialize)]
struct Saved {
    pairs: Vec<Pair>,
    cpu: Mean,
    egress: Mean,
    has_succeeded: bool,
}

impl Default for Learned {
    fn default() -> Learned {
        Learned {
            pairs: Vec::new(),
            by_wall: Vec::new(),
            places: Vec::new(),
            providers: Bits::default(),
            oldest: NONE,
            newest: NONE,
            cpu: Mean::default(),
            egress: Mean::default(),
            has_succeeded: false,
            best: ALL_SUCCEED,
            paid_less: 0,
        }
    }
}

impl Mean {
    fn learn(&mut self, value: u64) {
        self.seen = (self.seen + 1).min(MEAN_OVER);
        let step = (i128::from(value) - i128::from(self.value)) / i128::from(self.seen);
        self.value = (i128::from(self.value) + step) as u64; // between two values of 64 bits
    }
}

impl Learned {
    /// Returns the providers with a pair.
    pub(crate) fn providers(&self) -> &Bits {
        &self.providers
    }

    /// Returns mean wall time in microseconds and provider of each pair, fastest first.
    pub(crate) fn fastest(&self) -> &[(u32, u32)] {
        &self.by_wall
    }

    /// Returns a lower bound of the prediction for a pair of this mean wall time, and for slower ones.
    pub(crate) fn at_least(&self, wall_us: u32) -> Predicted {
        let paid_eighths = if self.paid_less > 0 { 4 } else { 8 };
        Predicted { paid_eighths, ..Predicted::at_least(rounded(wall_us.into())) }
    }

    /// Returns the mean CPU time of the calls whose providers reported it, in microseconds; 0 if none did.
    pub(crate) fn cpu_us(&self) -> u64 {
        self.cpu.value
    }

    /// Walks through the pairs, oldest first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &Pair> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let pair = self.pairs.get(usize::from(next))?;
            next = pair.newer;
            Some(pair)
        })
    }

    fn get(&self, provider: u32) -> Option<&Pair> {
        self.pairs.get(self.place_of(provider)?)
    }

    fn place_of(&self, provider: u32) -> Option<usize> {
        self.places.get(provider as usize)?.checked_sub(1).map(|place| place as usize)
    }

    /// Returns the pair at the median of the mean wall times; for an even number, the lower of the middle two.
    fn median(&self) -> Option<&Pair> {
        let (_, provider) = self.by_wall.get(self.by_wall.len().checked_sub(1)? / 2)?;
        self.get(*provider)
    }

    /// Returns the median of all pairs but this one.
    fn median_without(&self, pair: &Pair) -> Option<&Pair> {
        let others = self.by_wall.len().checked_sub(2)?;
        let own = self.by_wall.partition_point(|entry| *entry < (pair.wall_us, pair.provider));
        let middle = others / 2;
        let (_, provider) = self.by_wall.get(if middle < own { middle } else { middle + 1 })?;
        self.get(*provider)
    }

    /// Returns the usage at the median provider. None without history.
    pub(crate) fn reference(&self) -> Option<Reference> {
        let median = self.median()?;
        Some(Reference {
            wall: median.wall,
            mean_wall_us: median.wall_us.into(),
            cpu_us: self.cpu.value,
            egress_bytes: self.egress.value,
            newcomers: CallsPerAnswer::of_newcomer(self.best),
        })
    }

    /// Predicts a call at a provider from its pair or, without one, from the reference and its general ratio.
    pub(crate) fn predict(&self, reference: Option<&Reference>, provider: ProviderId, general: Ratio) -> Predicted {
        let Some(reference) = reference else { return UNKNOWN };
        let Some(pair) = self.get(provider.number()) else { return reference.prior(general) };
        Predicted {
            wall_us: pair.wall.micros(),
            usage: self.usage_of(pair),
            paid_eighths: pair.paid_eighths(),
            calls: CallsPerAnswer::of(pair.success, self.best),
            source: if pair.is_observed() { Source::Observed } else { Source::Reported },
        }
    }

    /// Returns the mean usage that a pair is predicted at.
    fn usage_of(&self, pair: &Pair) -> Usage {
        Usage {
            wall_us: rounded(pair.wall_us.into()),
            cpu_us: rounded(pair.cpu_us.into()),
            cold_us: rounded(pair.cold_us.into()),
            egress_bytes: self.egress.value,
        }
    }

    /// Learns from a settlement. Returns the provider's ratio to the median of the others, if its durations count and
    /// there are others.
    pub(crate) fn learn(&mut self, provider: ProviderId, seen: &Observation) -> Option<Ratio> {
        self.egress.learn(seen.usage.egress_bytes.min(EGRESS_MAX_BYTES));
        let is_first_success = seen.succeeded == Some(true) && seen.is_whole && !self.has_succeeded;
        let teaches = seen.is_whole || !self.has_succeeded;
        if teaches && seen.reported {
            self.cpu.learn(seen.cpu_us());
        }
        let place = self.place_or_new(provider, seen.at_s)?;
        self.change(place, |pair| {
            if teaches {
                pair.learn_usage(seen);
            }
            if let Some(succeeded) = seen.succeeded {
                pair.learn_success(succeeded);
            }
            pair.touched_s = seen.at_s;
        });
        self.renew(place);
        if is_first_success {
            self.has_succeeded = true;
            self.unlearn_failures(place);
        }
        let pair = self.pairs[place];
        let ratio = self.median_without(&pair).filter(|_| teaches).map(|others| pair.wall.minus(others.wall));
        self.decay(seen.at_s);
        ratio
    }

    /// Learns that a call failed without an answer.
    pub(crate) fn fail(&mut self, provider: ProviderId, at_s: u32) {
        let Some(place) = self.place_or_new(provider, at_s) else { return };
        self.change(place, |pair| {
            pair.learn_success(false);
            pair.touched_s = at_s;
        });
        self.renew(place);
        self.decay(at_s);
    }

    /// Moves the success of a provider that is no longer behind halfway to the best.
    pub(crate) fn come_back(&mut self, provider: ProviderId) {
        let best = self.best;
        if let Some(place) = self.place_of(provider.number()) {
            self.change(place, |pair| pair.success += best.saturating_sub(pair.success).div_ceil(2));
        }
    }

    /// Returns the place of a provider's pair, which is made if there is none.
    fn place_or_new(&mut self, provider: ProviderId, at_s: u32) -> Option<usize> {
        if self.get(provider.number()).is_none() {
            self.add(Pair::new(provider.number(), &self.usage_of_newcomer(), self.best_of_others(), at_s));
        }
        self.place_of(provider.number())
    }

    /// Learns what was paid for a settlement whose durations were learned: `paid` over what the usage predicted now
    /// costs.
    pub(crate) fn learn_paid(&mut self, provider: ProviderId, paid: impl FnOnce(&Usage) -> Option<u16>) {
        let Some(place) = self.place_of(provider.number()) else { return };
        if let Some(paid) = paid(&self.usage_of(&self.pairs[place])) {
            self.change(place, |pair| pair.learn_paid(paid));
        }
    }

    /// Returns the usage of a provider that has only failed: that of the others, or that of an unknown revision.
    fn usage_of_newcomer(&self) -> Usage {
        self.median().map_or(UNKNOWN.usage, |median| Usage {
            wall_us: median.wall_us.into(),
            cpu_us: self.cpu.value,
            ..Usage::default()
        })
    }

    fn best_of_others(&self) -> u8 {
        if self.pairs.is_empty() { ALL_SUCCEED } else { self.best }
    }

    /// Forgets the durations of failures at the other providers, after the first success.
    fn unlearn_failures(&mut self, succeeded: usize) {
        let Pair { wall, .. } = self.pairs[succeeded];
        let usage = self.usage_of(&self.pairs[succeeded]);
        for place in (0..self.pairs.len()).filter(|place| *place != succeeded) {
            self.change(place, |pair| pair.unlearn(wall, &usage));
        }
    }

    /// Makes a pair; a full list evicts its oldest.
    fn add(&mut self, pair: Pair) {
        let Pair { wall_us, provider, .. } = pair;
        let place = if self.pairs.len() < PAIRS_MAX {
            self.pairs.push(pair);
            self.pairs.len() - 1
        } else {
            let place = usize::from(self.oldest);
            let gone = self.pairs[place];
            self.unlink(place);
            self.take_out((gone.wall_us, gone.provider));
            self.places[gone.provider as usize] = 0;
            self.providers.set(gone.provider as usize, false);
            self.paid_less -= u32::from(gone.is_paid_less());
            self.pairs[place] = pair;
            self.look_for_best();
            place
        };
        self.best = if self.pairs.len() == 1 { pair.success } else { self.best.max(pair.success) };
        self.paid_less += u32::from(pair.is_paid_less());
        self.link_newest(place);
        let at = self.by_wall.partition_point(|entry| *entry < (wall_us, provider));
        self.by_wall.insert(at, (wall_us, provider));
        if self.places.len() <= provider as usize {
            self.places.resize(provider as usize + 1, 0);
        }
        self.places[provider as usize] = place as u32 + 1;
        self.providers.set(provider as usize, true);
    }

    /// Changes a pair, and what is computed from it.
    fn change(&mut self, place: usize, change: impl FnOnce(&mut Pair)) {
        let pair = &mut self.pairs[place];
        let before = *pair;
        change(pair);
        let after = *pair;
        self.moved(after, before.wall_us);
        self.paid_less = self.paid_less + u32::from(after.is_paid_less()) - u32::from(before.is_paid_less());
        if after.success >= self.best {
            self.best = after.success;
        } else if before.success == self.best {
            self.look_for_best();
        }
    }

    fn look_for_best(&mut self) {
        self.best = self.pairs.iter().map(|pair| pair.success).max().unwrap_or(ALL_SUCCEED);
    }

    /// Moves stale pairs halfway to the others.
    fn decay(&mut self, at_s: u32) {
        for _ in 0..DECAYS_MAX {
            let place = usize::from(self.oldest);
            let Some(pair) = self.pairs.get(place).copied() else { return };
            if u64::from(pair.touched_s) + u64::from(STALE_AFTER_S) > u64::from(at_s) {
                return;
            }
            let cpu_us = u32::try_from(self.cpu.value).unwrap_or(u32::MAX);
            let others = self.median_without(&pair).map(|others| (others.wall, others.wall_us, cpu_us));
            let best = self.best;
            self.change(place, |pair| {
                if let Some(others) = others {
                    pair.decay(others, best);
                }
                pair.touched_s = at_s;
            });
            self.renew(place);
        }
    }

    /// Restores the order by wall time after a pair's mean was changed from `before`.
    fn moved(&mut self, Pair { wall_us, provider, .. }: Pair, before: u32) {
        if wall_us == before {
            return;
        }
        let from = self.by_wall.partition_point(|entry| *entry < (before, provider));
        self.by_wall[from].0 = wall_us;
        if wall_us > before {
            let past = from + 1 + self.by_wall[from + 1..].partition_point(|entry| *entry < (wall_us, provider));
            self.by_wall[from..past].rotate_left(1);
        } else {
            let to = self.by_wall[..from].partition_point(|entry| *entry < (wall_us, provider));
            self.by_wall[to..=from].rotate_right(1);
        }
    }

    fn take_out(&mut self, entry: (u32, u32)) {
        if let Ok(at) = self.by_wall.binary_search(&entry) {
            self.by_wall.remove(at);
        }
    }

    /// Makes a pair the newest.
    fn renew(&mut self, place: usize) {
        self.unlink(place);
        self.link_newest(place);
    }

    fn unlink(&mut self, place: usize) {
        let Pair { older, newer, .. } = self.pairs[place];
        match older {
            NONE => self.oldest = newer,
            older => self.pairs[usize::from(older)].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.pairs[usize::from(newer)].older = older,
        }
    }

    fn link_newest(&mut self, place: usize) {
        let newest = std::mem::replace(&mut self.newest, place as u16); // below PAIRS_MAX
        let pair = &mut self.pairs[place];
        (pair.older, pair.newer) = (newest, NONE);
        match newest {
            NONE => self.oldest = place as u16,
            newest => self.pairs[usize::from(newest)].newer = place as u16,
        }
    }
}

impl Serialize for Learned {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = self.oldest_first().copied().collect();
        let Learned { cpu, egress, has_succeeded, .. } = *self;
        Saved { pairs, cpu, egress, has_succeeded }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Learned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Learned, D::Error> {
        let Saved { pairs, cpu, egress, has_succeeded } = Saved::deserialize(deserializer)?;
        let mut learned = Learned { cpu, egress, has_succeeded, ..Learned::default() };
        pairs.into_iter().for_each(|pair| learned.add(pair));
        Ok(learned)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/prediction/learned.rs"]
mod tests;
