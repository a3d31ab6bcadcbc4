//! The lessons about one revision at one provider: its usage, the amounts paid, and the share of calls that succeed.
//!
//! All in integers; 32 bytes a pair. Knows no other pair and no tariff.

use merit_terms::Usage;
use serde::{Deserialize, Serialize};

use super::estimate::LogDuration;

/// Settlements that the median wall time averages; each later one moves it by this part of the difference.
const MEDIAN_OVER: u32 = 8;
/// Settlements that the means of usage average.
const MEANS_OVER: u32 = 16;
/// Settlements that paid over predicted averages.
const PAID_OVER: u32 = 64;
/// Settlements that the success averages.
const SUCCESS_OVER: u32 = 8;
/// One, as paid over predicted is stored.
const PAID_ONE: u32 = 1024;
/// Success of a provider whose calls all succeed.
pub(super) const ALL_SUCCEED: u8 = u8::MAX;
/// The bit of `seen` that marks the last settlement as observed.
const OBSERVED: u8 = 1 << 7;

/// The end of the list by age.
pub(super) const NONE: u16 = u16::MAX;

/// The estimates of one revision at one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(super) provider: u32,
    /// Estimated median wall time, which limits on latency ask for.
    pub(super) wall: LogDuration,
    /// Means in microseconds: what is billed. CPU time saturates at 71 minutes.
    pub(super) wall_us: u32,
    pub(super) cpu_us: u32,
    pub(super) cold_us: u32,
    /// Time of the last learning or decay, in seconds since 1970.
    pub(super) touched_s: u32,
    /// Neighbours in the order by age, oldest first.
    #[serde(skip)]
    pub(super) older: u16,
    #[serde(skip)]
    pub(super) newer: u16,
    /// Mean of paid over predicted, in 1/1024.
    paid: u16,
    /// Share of the calls that succeed, in 1/255.
    pub(super) success: u8,
    /// Settlements whose durations were learned, up to 64; the top bit marks the last one as observed.
    seen: u8,
}

/// The lesson of one settlement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    /// The billed usage.
    pub(crate) usage: Usage,
    pub(crate) vcpus_milli: u32,
    pub(crate) at_s: u32,
    /// False if the provider reported nothing.
    pub(crate) reported: bool,
    /// True if the call ended by itself or at its timeout, so that its durations count.
    pub(crate) is_whole: bool,
    /// None if the call says nothing about the provider's success.
    pub(crate) succeeded: Option<bool>,
}

fn saturated(micros: u64) -> u32 {
    u32::try_from(micros).unwrap_or(u32::MAX)
}

/// Moves a mean over `over` observations to the next one; rounded towards the old value.
fn moved(mean: u32, seen: u32, over: u32) -> u32 {
    let step = (i64::from(seen) - i64::from(mean)) / i64::from(over);
    (i64::from(mean) + step) as u32 // between two values of 32 bits
}

fn halfway(mean: u32, others: u32) -> u32 {
    moved(mean, others, 2)
}

impl Observation {
    /// Returns the CPU time, at most wall time x vCPUs.
    pub(super) fn cpu_us(&self) -> u64 {
        let most = u128::from(self.usage.wall_us) * u128::from(self.vcpus_milli) / 1000;
        self.usage.cpu_us.min(u64::try_from(most).unwrap_or(u64::MAX))
    }
}

impl Pair {
    /// Makes the pair of a provider without any settlement, of this usage.
    pub(super) fn new(provider: u32, usage: &Usage, success: u8, at_s: u32) -> Pair {
        Pair {
            provider,
            wall: LogDuration::of_micros(usage.wall_us),
            wall_us: saturated(usage.wall_us),
            cpu_us: saturated(usage.cpu_us),
            cold_us: saturated(usage.cold_us),
            touched_s: at_s,
            older: NONE,
            newer: NONE,
            paid: PAID_ONE as u16,
            success,
            seen: 0,
        }
    }

    fn seen(&self) -> u32 {
        (self.seen & !OBSERVED).into()
    }

    /// Returns whether its durations are those of the broker's clock.
    pub(super) fn is_observed(&self) -> bool {
        self.seen & OBSERVED != 0
    }

    /// Learns the durations of a settlement. For the median the sample is clamped to one octave around the estimate.
    pub(super) fn learn_usage(&mut self, of: &Observation) {
        let seen = (self.seen() + 1).min(PAID_OVER);
        self.seen = seen as u8 | if of.reported { 0 } else { OBSERVED };
        let Usage { wall_us, cold_us, .. } = of.usage;
        let wall = LogDuration::of_micros(wall_us);
        self.wall = match seen {
            1 => wall,
            _ => self.wall.moved_towards(wall.within_an_octave_of(self.wall), seen.min(MEDIAN_OVER) as i32),
        };
        let over = seen.min(MEANS_OVER);
        self.wall_us = moved(self.wall_us, saturated(wall_us), over);
        self.cpu_us = moved(self.cpu_us, saturated(of.cpu_us()), over);
        self.cold_us = moved(self.cold_us, saturated(cold_us), over);
    }

    /// Learns whether a call succeeded. The fewer calls were learned, the larger the step.
    pub(super) fn learn_success(&mut self, succeeded: bool) {
        let over = (self.seen() + 1).clamp(2, SUCCESS_OVER);
        let missing = u32::from(if succeeded { ALL_SUCCEED - self.success } else { self.success });
        let step = missing.div_ceil(over) as u8;
        self.success = if succeeded { self.success + step } else { self.success - step };
    }

    /// Learns what was paid for a settlement whose durations were learned, in 1/1024 of what was predicted.
    pub(super) fn learn_paid(&mut self, paid: u16) {
        self.paid = moved(self.paid.into(), paid.into(), self.seen().max(1)) as u16;
    }

    /// Returns paid over predicted in eighths, as far as it is not near 1: below 0.8 or above 1.25.
    pub(super) fn paid_eighths(&self) -> u32 {
        let paid = u32::from(self.paid);
        if (PAID_ONE * 4..=PAID_ONE * 25 / 4).contains(&(paid * 5)) {
            return 8;
        }
        ((paid * 8 + PAID_ONE / 2) / PAID_ONE).max(4)
    }

    pub(super) fn is_paid_less(&self) -> bool {
        self.paid_eighths() < 8
    }

    /// Forgets the usage that it learned, in favour of this one.
    pub(super) fn unlearn(&mut self, wall: LogDuration, usage: &Usage) {
        let Pair { provider, success, touched_s, older, newer, .. } = *self;
        *self = Pair { older, newer, wall, ..Pair::new(provider, usage, success, touched_s) };
    }

    /// Moves all estimates halfway to the others', and paid over predicted halfway to 1.
    pub(super) fn decay(&mut self, (wall, wall_us, cpu_us): (LogDuration, u32, u32), success: u8) {
        self.wall = self.wall.moved_towards(wall, 2);
        self.wall_us = halfway(self.wall_us, wall_us);
        self.cpu_us = halfway(self.cpu_us, cpu_us);
        self.cold_us /= 2;
        self.paid = halfway(self.paid.into(), PAID_ONE) as u16;
        self.success += success.saturating_sub(self.success).div_ceil(2);
    }
}
