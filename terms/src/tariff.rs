//! The one formula by which every provider bills, with its one rounding. Never measures usage.
//!
//! `cost = per_request + per_gb_second x ceil(memory, memory_step)/1024 x billed_ms/1000
//!       + per_cpu_ms x cpu_ms + per_gb_egress x egress`, after arXiv 2506.01283.
//! `billed_ms = max(minimum_ms, ceil(ceil(wall + cold, 1 ms), increment_ms))`, the cold start only if it is billed.
//! `cpu_ms = ceil(min(cpu, floor(wall x vCPUs, 1 us)), 1 ms)`: [`Tariff::cpu_ms`].
//! Computed as one 128-bit numerator over one denominator, rounded up once.

use serde::{Deserialize, Serialize};

use crate::{EGRESS_MAX_BYTES, MEMORY_MAX_MB, Money, Price, TIMEOUT_MAX_MS, Usage, VCPUS_MAX_MILLI};

/// A provider's rates, steps and minima. Rates are in picodollars; their maxima are the `MAX_*` constants below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tariff {
    pub per_request: Price,
    /// Per GB-s; 1 GB is 1024 MB.
    pub per_gb_second: Price,
    pub per_cpu_ms: Price,
    /// Per GB (2^30 bytes) of answer.
    pub per_gb_egress: Price,
    /// Step of billed time in ms; time is rounded up to a multiple of it.
    pub increment_ms: u32,
    /// Minimum billed time in ms.
    pub minimum_ms: u32,
    /// Step of billed memory in MB; memory is rounded up to a multiple of it.
    pub memory_step_mb: u32,
    pub bills_cold_start: bool,
}

/// A field of a tariff that is out of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TariffError {
    #[error("{field} is {value} USD; at most {most} USD")]
    Rate { field: &'static str, value: Price, most: Price },
    #[error("{field} is {value}; {least} to {most}")]
    Step { field: &'static str, value: u32, least: u32, most: u32 },
}

/// The common denominator of the four terms: lcm(1024 MB x 1000 ms, 2^30 bytes).
const DENOMINATOR: u128 = (1 << 30) * 125;
const GB_SECOND_FACTOR: u128 = DENOMINATOR / (1024 * 1000);
const EGRESS_FACTOR: u128 = DENOMINATOR / (1 << 30);

fn within_maxima(usage: &Usage) -> Usage {
    let most_us = u64::from(TIMEOUT_MAX_MS) * 1000;
    let wall_us = usage.wall_us.min(most_us);
    Usage {
        wall_us,
        cold_us: usage.cold_us.min(most_us - wall_us),
        cpu_us: usage.cpu_us,
        egress_bytes: usage.egress_bytes.min(EGRESS_MAX_BYTES),
    }
}

impl Tariff {
    /// Maximum fee of a request: 1 USD.
    pub const MAX_PER_REQUEST: Price = Price::from_picodollars(1_000_000_000_000);
    /// Maximum rate of a GB-s: 1 USD.
    pub const MAX_PER_GB_SECOND: Price = Price::from_picodollars(1_000_000_000_000);
    /// Maximum rate of a CPU-millisecond: 1 USD for each CPU-second.
    pub const MAX_PER_CPU_MS: Price = Price::from_picodollars(1_000_000_000);
    /// Maximum rate of a GB of egress: 100 USD.
    pub const MAX_PER_GB_EGRESS: Price = Price::from_picodollars(100_000_000_000_000);
    /// Maximum increment and minimum of billed time, in ms.
    pub const MAX_STEP_MS: u32 = 60_000;
    /// Memory of the reference call, in MB.
    pub const REFERENCE_MEMORY_MB: u32 = 512;
    /// Usage of the reference call: 100 ms of wall and of CPU time, 1,000 bytes of egress, no cold start.
    pub const REFERENCE_USAGE: Usage = Usage { wall_us: 100_000, cpu_us: 100_000, cold_us: 0, egress_bytes: 1_000 };
    /// Reference calls in one GB-s: each uses 0.05 GB-s.
    pub const REFERENCE_CALLS_PER_GB_SECOND: u64 = 20;
    /// Denominator of [`Tariff::numerator`].
    pub const DENOMINATOR: u128 = DENOMINATOR;

    /// Refuses a tariff with a field out of bounds. Within them no cost can overflow: the dearest call
    /// (64 GB, one hour, 64 vCPUs, 64 GB of answer) stays below a tenth of [`Money::MAX`].
    pub fn check(&self) -> Result<(), TariffError> {
        let rates = [
            ("per_request", self.per_request, Tariff::MAX_PER_REQUEST),
            ("per_gb_second", self.per_gb_second, Tariff::MAX_PER_GB_SECOND),
            ("per_cpu_ms", self.per_cpu_ms, Tariff::MAX_PER_CPU_MS),
            ("per_gb_egress", self.per_gb_egress, Tariff::MAX_PER_GB_EGRESS),
        ];
        for (field, value, most) in rates {
            if value > most {
                return Err(TariffError::Rate { field, value, most });
            }
        }
        let steps = [
            ("increment_ms", self.increment_ms, 1, Tariff::MAX_STEP_MS),
            ("minimum_ms", self.minimum_ms, 0, Tariff::MAX_STEP_MS),
            ("memory_step_mb", self.memory_step_mb, 1, MEMORY_MAX_MB),
        ];
        for (field, value, least, most) in steps {
            if !(least..=most).contains(&value) {
                return Err(TariffError::Step { field, value, least, most });
            }
        }
        Ok(())
    }

    /// Returns the billed time of `usage` in ms: rounded up to the increment, at least the minimum.
    pub fn billed_ms(&self, usage: &Usage) -> u64 {
        let cold_us = if self.bills_cold_start { usage.cold_us } else { 0 };
        let ms = (usage.wall_us + cold_us).div_ceil(1000);
        let rounded = if self.increment_ms == 1 { ms } else { ms.next_multiple_of(u64::from(self.increment_ms)) };
        rounded.max(u64::from(self.minimum_ms))
    }

    /// Returns the billed CPU time of `usage` in ms, at `vcpus_milli` thousandths of a virtual CPU: the CPU time, at
    /// most wall time x vCPUs in whole microseconds (a fraction is cut off), is rounded up to 1 ms.
    ///
    /// The cap comes first and the rounding last, because 1 ms is the unit that is sold: as a wall time of 0.4 ms is
    /// billed as 1 ms, so is the CPU time of such a call (0.4 ms at half a vCPU: at most 0.2 ms, billed as 1 ms). A cap
    /// on the rounded time would be rounded down, and make short calls on shares of a vCPU free. The cap is cut to
    /// whole microseconds, so that its own fraction never begins another millisecond. A cold start is not in the cap.
    pub fn cpu_ms(vcpus_milli: u32, usage: &Usage) -> u64 {
        let usage = within_maxima(usage);
        let most_us = usage.wall_us * u64::from(vcpus_milli.min(VCPUS_MAX_MILLI)) / 1000;
        usage.cpu_us.min(most_us).div_ceil(1000)
    }

    /// Computes the cost of `usage` at `memory_mb` and `vcpus_milli` thousandths of a virtual CPU. Inputs beyond the
    /// stated maxima are cut to them.
    pub fn cost(&self, memory_mb: u32, vcpus_milli: u32, usage: &Usage) -> Money {
        let numerator = self.numerator(memory_mb, vcpus_milli, usage);
        // One rounding up in two exact steps, 2^30 and 125: nearly always the second is a division of 64 bits.
        let rest = numerator.div_ceil(1 << 30);
        let picodollars = match u64::try_from(rest) {
            Ok(rest) => u128::from(rest.div_ceil(125)),
            Err(_) => rest.div_ceil(125),
        };
        // A checked tariff stays far below the maximum; an unchecked one saturates rather than wraps.
        u64::try_from(picodollars).ok().and_then(Money::from_picodollars).unwrap_or(Money::MAX)
    }

    /// Computes the exact cost before its one rounding, over [`Tariff::DENOMINATOR`].
    pub fn numerator(&self, memory_mb: u32, vcpus_milli: u32, usage: &Usage) -> u128 {
        let usage = within_maxima(usage);
        let fixed = u128::from(self.per_request.picodollars())
            + u128::from(self.per_cpu_ms.picodollars()) * u128::from(Tariff::cpu_ms(vcpus_milli, &usage));
        let egress = u128::from(self.per_gb_egress.picodollars()) * u128::from(usage.egress_bytes);
        let energy = u128::from(self.per_gb_second.picodollars()) * self.numerator_per_rate(memory_mb, &usage);
        fixed * DENOMINATOR + egress * EGRESS_FACTOR + energy
    }

    /// Returns the part of the numerator that each picodollar of `per_gb_second` makes.
    pub fn numerator_per_rate(&self, memory_mb: u32, usage: &Usage) -> u128 {
        let memory_mb = memory_mb.min(MEMORY_MAX_MB);
        let memory_mb =
            if self.memory_step_mb == 1 { memory_mb } else { memory_mb.next_multiple_of(self.memory_step_mb) };
        u128::from(memory_mb) * u128::from(self.billed_ms(&within_maxima(usage))) * GB_SECOND_FACTOR
    }

    /// Computes the maximum cost of a call: the whole timeout billed (a cold start is inside it), every vCPU busy
    /// throughout, and an answer of `egress_bytes`.
    pub fn worst_case(&self, memory_mb: u32, vcpus_milli: u32, timeout_ms: u32, egress_bytes: u64) -> Money {
        let wall_us = u64::from(timeout_ms) * 1000;
        let cpu_us = wall_us * u64::from(vcpus_milli) / 1000;
        self.cost(memory_mb, vcpus_milli, &Usage { wall_us, cpu_us, cold_us: 0, egress_bytes })
    }

    /// Returns the longest timeout in ms, up to `timeout_ms`, whose worst case is within `max_cost`, or `None` if not
    /// even 1 ms (and with it the minimum bill) fits.
    pub fn longest_within(
        &self,
        max_cost: Money,
        memory_mb: u32,
        vcpus_milli: u32,
        timeout_ms: u32,
        egress_bytes: u64,
    ) -> Option<u32> {
        let fits = |ms: u32| self.worst_case(memory_mb, vcpus_milli, ms, egress_bytes) <= max_cost;
        if fits(timeout_ms) {
            return Some(timeout_ms);
        }
        if !fits(1) {
            return None;
        }
        let (mut fitting, mut beyond) = (1, timeout_ms);
        while beyond - fitting > 1 {
            let middle = fitting + (beyond - fitting) / 2;
            if fits(middle) { fitting = middle } else { beyond = middle }
        }
        Some(fitting)
    }

    /// Computes the *price* of books, charts and limits: the cost of the reference call (512 MB, 100 ms of wall and of
    /// CPU time, 1,000 bytes of egress, no cold start) per GB-s. Always an integer; 0 only if every rate is 0.
    pub fn reference_price(&self) -> Price {
        let cost = self.cost(Tariff::REFERENCE_MEMORY_MB, VCPUS_MAX_MILLI, &Tariff::REFERENCE_USAGE);
        Price::from_picodollars(cost.picodollars() * Tariff::REFERENCE_CALLS_PER_GB_SECOND)
    }
}
