//! The sellers of the world: platforms at their list prices, and two sellers of idle capacity whose price follows load.
//!
//! Rates of platforms come only from the committed price list. Speeds, pools and the prices of the idle capacity are
//! assumptions of this world, stated here and in its report. Never changes a price while the world runs.

use std::collections::BTreeMap;

use merit_terms::{Money, PoolSize, Price, Rung, Tariff};
use serde::Deserialize;

use crate::world::WorldError;

const PRICE_LIST: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/prices/serverless_list_prices.csv"));

/// One seller of the world.
pub(crate) struct Seller {
    pub(crate) name: &'static str,
    pub(crate) market: &'static str,
    pub(crate) pool: PoolSize,
    pub(crate) rungs: Vec<Rung>,
    /// Wall time of a call here, in thousandths of that at speed 1.
    pub(crate) wall_permille: u64,
    /// Row of the price list and its confidence; `None` if the price is an assumption.
    pub(crate) listed: Option<Listed>,
}

#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) product: String,
    pub(crate) confidence: String,
}

/// The used columns of a row of the price list.
#[derive(Deserialize)]
struct ListPrice {
    provider: String,
    product: String,
    #[serde(rename = "usd_or_eur_per_gb_s")]
    per_gb_second: String,
    per_vcpu_s: String,
    per_million_requests: String,
    duration_granularity_ms: String,
    min_duration_ms: String,
    memory_rounding_mb: String,
    confidence: String,
}

/// Slots of each pool; memory is scarce here, slots are not.
const SLOTS: u32 = 10_000;
/// CPU share of one invocation; no tariff of this world bills CPU time by itself.
const VCPUS_MILLI: u32 = 1000;
/// Memory tiers of Google Cloud Functions (1st gen) with the MHz that each includes. The price list does not have them:
/// a default to read again at cloud.google.com/functions/pricing-1stgen.
const GCP_TIERS: [(u32, u64); 5] = [(128, 200), (256, 400), (512, 800), (1024, 1400), (2048, 2400)];
/// Clock in MHz behind the list's price of a vCPU-second.
const GCP_VCPU_MHZ: u64 = 2400;
/// Ladders of the sellers of idle capacity: a price for each quarter of the pool, in USD per GB-s.
const SPOT_FAST: [&str; 4] = ["0.000009", "0.000012", "0.000015", "0.00002"];
const SPOT_SLOW: [&str; 4] = ["0.000006", "0.000008", "0.000011", "0.000014"];

/// Reads all sellers. Their pools together are below the demand of the busiest minutes.
pub(crate) fn read() -> Result<Vec<Seller>, WorldError> {
    let list: Vec<ListPrice> =
        csv::Reader::from_reader(PRICE_LIST.as_bytes()).deserialize().collect::<Result<_, _>>()?;
    Ok(vec![
        platform(&list, ("aws", "Lambda x86 (tier 1"), "aws-lambda-x86", "us-east/x86_64", (1024, 1000), 900_000)?,
        platform(&list, ("aws", "Lambda arm64 (tier 1"), "aws-lambda-arm64", "us-east/arm64", (768, 1000), 900_000)?,
        platform(
            &list,
            ("azure", "Functions Consumption"),
            "azure-functions",
            "us-east/x86_64",
            (1024, 1100),
            600_000,
        )?,
        gcp_functions(row(&list, "gcp", "Cloud Run functions 1st gen")?)?,
        idle_capacity("spot-fast", "us-east/x86_64", (1024, 800), SPOT_FAST)?,
        idle_capacity("spot-slow", "us-east/arm64", (1024, 1250), SPOT_SLOW)?,
    ])
}

fn row<'a>(list: &'a [ListPrice], provider: &str, product: &str) -> Result<&'a ListPrice, WorldError> {
    list.iter()
        .find(|row| row.provider == provider && row.product.starts_with(product))
        .ok_or_else(|| WorldError::Data(format!("the price list has no {provider} {product}")))
}

/// Makes a platform billed by memory and time, with its pool in MB, its slowness, and its longest run.
fn platform(
    list: &[ListPrice],
    (provider, product): (&str, &str),
    name: &'static str,
    market: &'static str,
    (memory_mb, wall_permille): (u64, u64),
    longest_ms: u32,
) -> Result<Seller, WorldError> {
    let row = row(list, provider, product)?;
    let tariff = tariff(row, price(&row.per_gb_second)?, whole(&row.memory_rounding_mb)?)?;
    let rung = Rung { longest_ms, ..rung(0, memory_mb, tariff) };
    Ok(Seller { name, market, pool: pool(memory_mb), rungs: vec![rung], wall_permille, listed: Some(row.listed()) })
}

/// Makes a platform with a rung for each memory tier, each of the whole pool: the tier's memory and its clock.
fn gcp_functions(row: &ListPrice) -> Result<Seller, WorldError> {
    const POOL_MB: u64 = 768;
    let memory = price(&row.per_gb_second)?.picodollars();
    let vcpu = row.per_vcpu_s.split(' ').next().unwrap_or_default();
    let vcpu = price(vcpu)?.picodollars();
    let mut rungs = Vec::new();
    for (i, (tier_mb, mhz)) in GCP_TIERS.into_iter().enumerate() {
        let clock = (vcpu * mhz * 1024).div_ceil(GCP_VCPU_MHZ * u64::from(tier_mb));
        let tariff = tariff(row, Price::from_picodollars(memory + clock), tier_mb)?;
        let memory_min_mb = if i == 0 { 1 } else { GCP_TIERS[i - 1].0 + 1 };
        let rung = rung(i as u32, POOL_MB, tariff);
        rungs.push(Rung { memory_min_mb, memory_max_mb: tier_mb, longest_ms: 540_000, ..rung });
    }
    Ok(Seller {
        name: "gcp-functions-1st-gen",
        market: "us-east/x86_64",
        pool: pool(POOL_MB),
        rungs,
        wall_permille: 1000,
        listed: Some(Listed {
            confidence: format!("{} (rates), medium (clock of a tier)", row.confidence),
            ..row.listed()
        }),
    })
}

/// Makes a seller whose price rises by rungs as its pool fills.
fn idle_capacity(
    name: &'static str,
    market: &'static str,
    (memory_mb, wall_permille): (u64, u64),
    ladder: [&str; 4],
) -> Result<Seller, WorldError> {
    let share_mb = memory_mb / ladder.len() as u64;
    let rungs = ladder.iter().enumerate().map(|(i, per_gb_second)| {
        let tariff = Tariff {
            per_request: Price::ZERO,
            per_gb_second: price(per_gb_second)?,
            per_cpu_ms: Price::ZERO,
            per_gb_egress: Price::ZERO,
            increment_ms: 1,
            minimum_ms: 1,
            memory_step_mb: 1,
            bills_cold_start: false,
        };
        Ok(rung(i as u32, share_mb, tariff))
    });
    let rungs = rungs.collect::<Result<_, WorldError>>()?;
    Ok(Seller { name, market, pool: pool(memory_mb), rungs, wall_permille, listed: None })
}

fn tariff(row: &ListPrice, per_gb_second: Price, memory_step_mb: u32) -> Result<Tariff, WorldError> {
    let million: Money = row.per_million_requests.parse()?;
    Ok(Tariff {
        per_request: Price::from_picodollars(million.picodollars().div_ceil(1_000_000)),
        per_gb_second,
        per_cpu_ms: Price::ZERO,
        per_gb_egress: Price::ZERO,
        increment_ms: whole(&row.duration_granularity_ms)?,
        minimum_ms: whole(&row.min_duration_ms)?,
        memory_step_mb,
        bills_cold_start: false,
    })
}

fn pool(memory_mb: u64) -> PoolSize {
    PoolSize { memory_mb, slots: SLOTS }
}

fn rung(id: u32, capacity_mb: u64, tariff: Tariff) -> Rung {
    Rung {
        id,
        pool: 0,
        capacity_mb,
        tariff,
        vcpus_milli: VCPUS_MILLI,
        memory_min_mb: 1,
        memory_max_mb: 10_240,
        longest_ms: merit_terms::TIMEOUT_MAX_MS,
        enforces_timeout: true,
        labels: BTreeMap::new(),
        audience: Vec::new(),
        quota: None,
        expires: None,
    }
}

fn price(text: &str) -> Result<Price, WorldError> {
    Ok(text.parse()?)
}

fn whole(text: &str) -> Result<u32, WorldError> {
    text.parse().map_err(|_| WorldError::Data(format!("the price list: `{text}` is not a whole number")))
}

impl ListPrice {
    fn listed(&self) -> Listed {
        Listed { product: self.product.clone(), confidence: self.confidence.clone() }
    }
}

impl Seller {
    /// Returns the cheapest rung that sells `memory_mb`.
    pub(crate) fn rung_for(&self, memory_mb: u32) -> Option<&Rung> {
        self.rungs.iter().find(|rung| (rung.memory_min_mb..=rung.memory_max_mb).contains(&memory_mb))
    }

    /// Returns the wall time here of a call of `wall_us` at speed 1; at least 1 us.
    pub(crate) fn wall_us(&self, wall_us: u64) -> u64 {
        (wall_us * self.wall_permille / 1000).max(1)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/world/sellers.rs"]
mod tests;
