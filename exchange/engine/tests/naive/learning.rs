//! The lessons of settlements about a revision at each provider: learned, used in predictions, and forgotten.

use merit_engine::{Lease, Settle, Source};
use merit_terms::{EGRESS_MAX_BYTES, FunctionId, Metered, Money, Outcome, ProviderId, Time, Usage};

use super::Twin;
use super::accounts::{money, picodollars};
use super::durations::{OCTAVE, half, logarithm, micros, moved, ratio, rounded};

/// Predicted usage of a revision that nobody has run: the reference call.
const UNKNOWN: Usage = Usage { wall_us: 100_000, cpu_us: 100_000, cold_us: 0, egress_bytes: 1_000 };
const PAIRS_MAX: usize = 4096;
/// Time untouched after which an estimate moves towards the others, in seconds.
const DECAYS_AFTER_S: u64 = 600;

/// The lessons about a revision.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    /// Longest untouched first.
    pairs: Vec<Pair>,
    /// CPU times that were reported, in microseconds.
    cpu: Mean,
    egress: Mean,
    has_succeeded: bool,
}

/// The mean of up to 64 values, then a moving one; differences are rounded towards the old mean.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: i128,
    seen: i128,
}

/// The lessons at one provider.
#[derive(Clone, Copy, Debug)]
struct Pair {
    provider: ProviderId,
    /// Logarithm of the wall time about the median.
    wall: i32,
    /// Means in microseconds.
    wall_us: i64,
    cpu_us: i64,
    cold_us: i64,
    /// Mean of paid over predicted, in 1/1024.
    paid: i64,
    /// Success, 0 to 255.
    success: i64,
    /// Settlements whose durations were learned, up to 64.
    seen: i64,
    observed: bool,
    touched: Time,
}

/// The prediction of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prediction {
    /// Wall time about the median.
    pub(super) wall_us: u64,
    pub(super) usage: Usage,
    /// Paid over predicted, in eighths.
    paid: u128,
    /// Calls for an answer, in eighths. None: hardly one succeeds.
    calls: Option<u128>,
    pub(super) source: Source,
}

fn us(value: impl Into<i128>) -> u64 {
    u64::try_from(value.into()).expect("no learned value is negative")
}

impl Mean {
    fn learn(&mut self, value: u64) {
        self.seen = 64.min(self.seen + 1);
        self.value += (i128::from(value) - self.value) / self.seen;
    }
}

/// Returns the pair at the median of the mean wall times; of an even number, the lower of the middle two.
fn median<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Option<&'a Pair> {
    let mut pairs: Vec<&Pair> = pairs.collect();
    pairs.sort_by_key(|pair| (pair.wall_us, pair.provider));
    pairs.get(pairs.len().checked_sub(1)? / 2).copied()
}

/// Returns paid over predicted in eighths: 8 from 0.8 to 1.25, else to the nearest one, from 4.
fn paid_eighths(paid: i64) -> u128 {
    let near_one = paid * 5 >= 1024 * 4 && paid * 4 <= 1024 * 5;
    if near_one { 8 } else { 4.max((paid * 8 + 512) / 1024) as u128 }
}

/// Compares a success with the best one: within a fifth they are alike, and below an eighth it is none.
fn calls_per_answer(success: i64, best: i64) -> Option<u128> {
    match () {
        () if success * 5 >= best * 4 => Some(8),
        () if success * 8 < best => None,
        () => Some((best * 8 / success) as u128),
    }
}

/// Assumes that every call succeeds at a newcomer: an eighth of a call at least, where the best one fails.
fn calls_of_newcomer(best: i64) -> Option<u128> {
    Some(if best * 5 >= 255 * 4 { 8 } else { 1.max(best as u128 * 8 / 255) })
}

impl Learned {
    fn best(&self) -> i64 {
        self.pairs.iter().map(|pair| pair.success).max().unwrap_or(255)
    }

    pub(super) fn cpu_us(&self) -> u64 {
        us(self.cpu.value)
    }

    pub(super) fn predict(&self, id: ProviderId, general_ratio: i32) -> Prediction {
        let of = |wall_us, usage, source| Prediction { wall_us, usage, paid: 8, calls: Some(8), source };
        let Some(reference) = median(self.pairs.iter()) else {
            return of(UNKNOWN.wall_us, UNKNOWN, Source::Unknown);
        };
        let egress_bytes = us(self.egress.value);
        let Some(own) = self.pairs.iter().find(|pair| pair.provider == id) else {
            let cpu_us = if self.cpu.value == 0 { 0 } else { half(self.cpu_us(), general_ratio) };
            let usage = Usage { wall_us: half(us(reference.wall_us), general_ratio), cpu_us, cold_us: 0, egress_bytes };
            let wall_us = micros(reference.wall - OCTAVE + general_ratio);
            return Prediction { calls: calls_of_newcomer(self.best()), ..of(wall_us, usage, Source::Prior) };
        };
        let usage = own.usage(egress_bytes);
        let source = if own.observed { Source::Observed } else { Source::Reported };
        let calls = calls_per_answer(own.success, self.best());
        Prediction { paid: paid_eighths(own.paid), calls, ..of(micros(own.wall), usage, source) }
    }
}

impl Prediction {
    /// Ranks a trial as if all its calls succeeded.
    pub(super) fn of_trial(self) -> Prediction {
        Prediction { calls: self.calls.map_or(Some(8), |calls| Some(calls.min(8))), ..self }
    }

    /// Returns the expected bills of a call, at most the worst case, and of an answer.
    pub(super) fn bills(&self, cost: Money, worst: Money) -> (Money, Money) {
        let times = |cost: Money, eighths: u128| (picodollars(cost) * eighths).div_ceil(8);
        let call = money(times(cost, self.paid).min(picodollars(worst)));
        (call, self.calls.map_or(Money::MAX, |calls| money(times(call, calls).min(picodollars(Money::MAX)))))
    }

    /// Returns its success over the best one, in percent.
    pub(super) fn success_percent(&self) -> u32 {
        self.calls.map_or(0, |calls| 100.min(800 / calls) as u32)
    }
}

impl Pair {
    /// A pair that has learned nothing yet.
    fn of(provider: ProviderId, usage: &Usage, success: i64, touched: Time) -> Pair {
        let within = |us: u64| us.min(u32::MAX.into()) as i64;
        Pair {
            provider,
            wall: logarithm(usage.wall_us),
            wall_us: within(usage.wall_us),
            cpu_us: within(usage.cpu_us),
            cold_us: within(usage.cold_us),
            paid: 1024,
            success,
            seen: 0,
            observed: false,
            touched,
        }
    }

    fn usage(&self, egress_bytes: u64) -> Usage {
        let [wall_us, cpu_us, cold_us] = [self.wall_us, self.cpu_us, self.cold_us].map(|mean| rounded(us(mean)));
        Usage { wall_us, cpu_us, cold_us, egress_bytes }
    }

    /// Takes the mean of the first settlements, then a moving one; differences are rounded towards the old value.
    fn learn(&mut self, usage: &Usage, observed: bool) {
        self.seen = 64.min(self.seen + 1);
        self.observed = observed;
        let wall = logarithm(usage.wall_us);
        self.wall = if self.seen == 1 {
            wall
        } else {
            self.wall + (wall.clamp(self.wall - OCTAVE, self.wall + OCTAVE) - self.wall) / self.seen.min(8) as i32
        };
        let means = [&mut self.wall_us, &mut self.cpu_us, &mut self.cold_us];
        for (mean, seen) in means.into_iter().zip([usage.wall_us, usage.cpu_us, usage.cold_us]) {
            *mean += (seen.min(u32::MAX.into()) as i64 - *mean) / self.seen.min(16);
        }
    }

    /// Moves the success by a part of what is missing, rounded up: a half of the first call, an eighth at last.
    fn learn_success(&mut self, succeeded: bool) {
        let parts = (self.seen + 1).clamp(2, 8);
        let step = |missing: i64| (missing + parts - 1) / parts;
        self.success += if succeeded { step(255 - self.success) } else { -step(self.success) };
    }
}

impl Twin {
    fn learned(&mut self, lease: &Lease) -> &mut Learned {
        &mut self.functions[lease.function.index()].revisions[lease.revision as usize - 1].learned
    }

    /// Meters a settle. CPU time that nobody reports is that learned of the revision.
    pub(super) fn metered(&mut self, lease: &Lease, reported: Option<Usage>, settle: &Settle) -> Metered {
        let cpu_us = self.learned(lease).cpu_us();
        Usage::metered(reported, settle.observed_us, lease.timeout_ms, settle.egress_bytes, cpu_us)
    }

    /// Learns the provider's usage and success for this revision and its general ratio, and decays untouched estimates.
    pub(super) fn teach(&mut self, at: Time, lease: &Lease, settle: &Settle, metered: &Metered) {
        let code = &self.functions[lease.function.index()].revisions[lease.revision as usize - 1].code;
        let (own_timeout, timed_out) = (code.timeout_ms == lease.timeout_ms, settle.outcome == Outcome::Timeout);
        let whole = !settle.server_error && (timed_out || settle.outcome == Outcome::Ok);
        let succeeded = whole && !timed_out;
        let most_cpu_us = metered.usage.wall_us * u64::from(lease.vcpus_milli) / 1000;
        let usage = Usage { cpu_us: metered.usage.cpu_us.min(most_cpu_us), ..metered.usage };
        let learned = self.learned(lease);
        learned.egress.learn(usage.egress_bytes.min(EGRESS_MAX_BYTES));
        let teaches = whole || !learned.has_succeeded;
        if teaches && !metered.estimated {
            learned.cpu.learn(usage.cpu_us);
        }
        let mut pair = learned.take(lease.provider, at);
        if teaches {
            pair.learn(&usage, metered.estimated);
        }
        if !timed_out || own_timeout {
            pair.learn_success(succeeded);
        }
        pair.touched = at;
        if succeeded && !learned.has_succeeded {
            learned.has_succeeded = true;
            for other in &mut learned.pairs {
                let forgotten = Pair::of(other.provider, &pair.usage(0), other.success, other.touched);
                *other = Pair { wall: pair.wall, ..forgotten };
            }
        }
        let others = median(learned.pairs.iter()).map(|others| others.wall);
        learned.pairs.push(pair);
        (0..2).for_each(|_| learned.decay(at));
        if whole {
            learned.learn_paid(lease, &metered.usage);
        }
        if let Some(others) = others.filter(|_| teaches) {
            let general = &mut self.providers[lease.provider.index()].general_ratio;
            *general = moved(*general, ratio(pair.wall, others));
        }
    }
}

impl Twin {
    /// Learns that a provider is no longer behind.
    pub(super) fn teach_return(&mut self, provider: ProviderId, (function, revision): (FunctionId, u32)) {
        let learned = &mut self.functions[function.index()].revisions[revision as usize - 1].learned;
        let best = learned.best();
        if let Some(pair) = learned.pairs.iter_mut().find(|pair| pair.provider == provider) {
            pair.success += (best - pair.success + 1) / 2;
        }
    }

    /// Learns that a call failed without an answer, unless the provider was behind already.
    pub(super) fn teach_failure(&mut self, at: Time, lease: &Lease) {
        if self.is_out(at, lease.provider, (lease.function, lease.revision)) {
            return;
        }
        self.teach_loss(at, lease);
    }

    /// Learns that a call failed.
    pub(super) fn teach_loss(&mut self, at: Time, lease: &Lease) {
        let learned = self.learned(lease);
        let mut pair = learned.take(lease.provider, at);
        pair.learn_success(false);
        learned.pairs.push(Pair { touched: at, ..pair });
        (0..2).for_each(|_| learned.decay(at));
    }
}

impl Learned {
    /// Takes a provider's pair out, or makes one like the median of the others.
    fn take(&mut self, provider: ProviderId, at: Time) -> Pair {
        if let Some(known) = self.pairs.iter().position(|pair| pair.provider == provider) {
            return self.pairs.remove(known);
        }
        let like = median(self.pairs.iter()).map(|median| us(median.wall_us));
        let like = like.map(|wall_us| Usage { wall_us, cpu_us: self.cpu_us(), ..Usage::default() });
        let success = self.best();
        if self.pairs.len() >= PAIRS_MAX {
            self.pairs.remove(0);
        }
        Pair::of(provider, &like.unwrap_or(UNKNOWN), success, at)
    }

    /// Learns what a settlement paid over what its provider's mean usage costs.
    fn learn_paid(&mut self, lease: &Lease, billed: &Usage) {
        let egress_bytes = us(self.egress.value);
        let Some(pair) = self.pairs.iter_mut().find(|pair| pair.provider == lease.provider) else { return };
        let exact = |usage: &Usage| lease.tariff.numerator(lease.memory_mb, lease.vcpus_milli, usage);
        let predicted = exact(&pair.usage(egress_bytes));
        if let Some(paid) = (exact(billed) * 1024).checked_div(predicted) {
            let paid = paid.min(u16::MAX.into()) as i64;
            pair.paid += (paid - pair.paid) / pair.seen.max(1);
        }
    }

    /// Moves the pair longest untouched half way towards the others.
    fn decay(&mut self, at: Time) {
        let seconds = |at: Time| at.micros() / 1_000_000;
        let best = self.best();
        if self.pairs.first().is_none_or(|pair| seconds(pair.touched) + DECAYS_AFTER_S > seconds(at)) {
            return;
        }
        let mut pair = self.pairs.remove(0);
        if let Some(others) = median(self.pairs.iter()) {
            pair.wall += (others.wall - pair.wall) / 2;
            pair.wall_us += (others.wall_us - pair.wall_us) / 2;
            pair.cpu_us += (self.cpu.value.min(u32::MAX.into()) as i64 - pair.cpu_us) / 2;
            pair.cold_us /= 2;
            pair.paid += (1024 - pair.paid) / 2;
            pair.success += (best - pair.success + 1) / 2;
        }
        self.pairs.push(Pair { touched: at, ..pair });
    }
}
