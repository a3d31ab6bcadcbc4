//! Names, amounts, tariffs, rungs and pools.

use std::collections::BTreeMap;

use merit_terms::{Limits, Money, Name, PoolSize, Price, Rung, Tariff, Usage};

/// Memory of the examples' function, in MB.
pub const MEMORY_MB: u32 = 1024;
/// Timeout of the examples' function, in milliseconds.
pub const TIMEOUT_MS: u32 = 1_000;
/// Price of the examples, in picodollars per GB-s. A call's worst case is 1 GB for 1 s, so it costs the price itself.
pub const PRICE: u64 = 10_000_000;
/// Number of calls of 1 GB and 100 ms in a GB-s.
pub const CALLS_PER_GB_SECOND: u64 = 10;

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Returns a name of one of many, such as `provider7`.
pub fn numbered(kind: &str, number: u32) -> Name {
    name(&format!("{kind}{number}"))
}

pub fn money(picodollars: u64) -> Money {
    Money::from_picodollars(picodollars).unwrap()
}

/// Returns a tariff by the GB-s alone, billed to the millisecond.
pub const fn tariff(per_gb_second: u64) -> Tariff {
    Tariff {
        per_request: Price::ZERO,
        per_gb_second: Price::from_picodollars(per_gb_second),
        per_cpu_ms: Price::ZERO,
        per_gb_egress: Price::ZERO,
        increment_ms: 1,
        minimum_ms: 0,
        memory_step_mb: 1,
        bills_cold_start: false,
    }
}

/// Returns a rung over the whole of pool 0, at one price.
pub fn rung(id: u32, per_gb_second: u64) -> Rung {
    Rung {
        id,
        pool: 0,
        capacity_mb: PoolSize::MAX_MEMORY_MB,
        tariff: tariff(per_gb_second),
        vcpus_milli: 1_000,
        memory_min_mb: 1,
        memory_max_mb: 65_536,
        longest_ms: 60_000,
        enforces_timeout: true,
        labels: BTreeMap::new(),
        audience: Vec::new(),
        quota: None,
        expires: None,
    }
}

/// Returns a pool with room for this many calls of the examples' function.
pub fn pool(calls: u32) -> Vec<PoolSize> {
    vec![PoolSize { memory_mb: u64::from(calls * MEMORY_MB), slots: calls }]
}

/// Returns the usage of a call of this wall time, all of it on the CPU.
pub fn ran(wall_ms: u64) -> Usage {
    Usage { wall_us: wall_ms * 1_000, cpu_us: wall_ms * 1_000, ..Usage::default() }
}

pub fn max_price(per_gb_second: u64) -> Limits {
    Limits { max_price: Some(Price::from_picodollars(per_gb_second)), ..Limits::default() }
}

pub fn max_cost(picodollars: u64) -> Limits {
    Limits { max_cost: Some(money(picodollars)), ..Limits::default() }
}

/// Returns limits that let one provider alone serve.
pub fn only(provider: Name) -> Limits {
    Limits { only: vec![provider], ..Limits::default() }
}
