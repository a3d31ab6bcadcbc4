//! The speed of the matching engine on one core: the production `apply`, with ledger, holds, prediction and events on.
//!
//! Measures time inside `apply` and what its events cost to drop, not the drawing of commands. Journal, sequencer and
//! network are no part of it. Each timing has two clock readings in it, some tens of nanoseconds.

mod deferred;
mod market;
mod matches;
mod memory;
mod mix;

use std::time::Duration;

use hdrhistogram::Histogram;
use merit_terms::{NameError, Refusal};
use serde::Serialize;

use crate::plain_book::{self, Plain};

pub use memory::MemoryError;

/// What is measured, and how much of it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// Resting offers while commands are mixed.
    pub offers: u32,
    /// Who they belong to.
    pub providers: u32,
    pub functions: u32,
    /// How long commands are mixed; each shape of match takes at most a third of it.
    pub seconds: f64,
    /// Offers and providers among which single matches are measured.
    pub match_offers: u32,
    pub match_providers: u32,
}

/// Among how many matches the design sets its bound of 1 us.
pub const MATCH_OFFERS: u32 = 10_000;
pub const MATCH_PROVIDERS: u32 = 1_000;

/// Why the engine is not measured.
#[derive(Debug, thiserror::Error)]
pub enum EngineBenchError {
    #[error("{offers} offers of {providers} providers: each provider needs at least one ladder of {rungs}")]
    Size { offers: u32, providers: u32, rungs: u32 },
    #[error("a size must be above 0")]
    Nothing,
    #[error("the engine refused a command of the bench: {0}")]
    Refused(Refusal),
    #[error("the engine answered a command with another one's reply")]
    Reply,
    #[error("a name of the bench is none")]
    Name(#[from] NameError),
    #[error("the memory of this process cannot be read")]
    Memory(#[from] MemoryError),
    #[error("the latencies cannot be kept")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// What was measured; every size is as it was run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub offers: u32,
    pub providers: u32,
    pub functions: u32,
    pub markets: u32,
    /// Leases open while commands are mixed.
    pub leases: u32,
    pub commands: u64,
    pub seconds: f64,
    pub commands_per_second: f64,
    pub p50_ns: u64,
    pub p999_ns: u64,
    /// Of each kind of command in the mix.
    pub kinds: Vec<Kind>,
    /// Growth of the process while the offers were posted; what providers and functions take was there before.
    pub bytes_per_offer: u64,
    #[serde(rename = "match")]
    pub matches: Matches,
    pub deferred: Crossings,
    /// Adds, cancels and matches of the engine's book without ledger and prediction.
    pub plain_book: Plain,
}

#[derive(Clone, Debug, Serialize)]
pub struct Kind {
    pub name: &'static str,
    pub commands: u64,
    pub p50_ns: u64,
    pub p999_ns: u64,
}

/// One acquire, its lease included, among many offers.
#[derive(Clone, Debug, Serialize)]
pub struct Matches {
    pub offers: u32,
    pub providers: u32,
    /// Every offer is eligible, none has a history.
    pub all: Latency,
    /// The offers of one provider are eligible.
    pub rare: Latency,
    /// Half is eligible, with a history of speeds spread over four times.
    pub spread: Latency,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub matches: u64,
    pub p50_ns: u64,
    pub p999_ns: u64,
}

/// From the command that crosses a deferred bid to its match.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Crossings {
    /// That rest meanwhile.
    pub bids: u32,
    pub matches: u64,
    pub p50_ns: u64,
    pub p999_ns: u64,
    /// The most commands that it took, the one that crossed included.
    pub commands_max: u32,
}

/// Measures; takes about three times `seconds`, and the time to post the offers.
pub fn run(settings: &Settings) -> Result<Report, EngineBenchError> {
    let sizes = [settings.offers, settings.providers, settings.functions, settings.match_offers];
    if sizes.contains(&0) || settings.match_providers == 0 || settings.seconds.is_nan() || settings.seconds <= 0.0 {
        return Err(EngineBenchError::Nothing);
    }
    let mixed = mix::run(settings)?;
    let matches = matches::run(settings, Duration::from_secs_f64(settings.seconds / 3.0))?;
    let deferred = deferred::run(settings, Duration::from_secs_f64(settings.seconds / 5.0))?;
    let plain_book = plain_book::ours(settings.seed, Duration::from_secs_f64(settings.seconds / 5.0));
    Ok(Report {
        offers: settings.offers,
        providers: settings.providers,
        functions: settings.functions,
        markets: mixed.markets,
        leases: mixed.leases,
        commands: mixed.all.len(),
        seconds: mixed.inside.as_secs_f64(),
        commands_per_second: mixed.all.len() as f64 / mixed.inside.as_secs_f64(),
        p50_ns: mixed.all.value_at_quantile(0.5),
        p999_ns: mixed.all.value_at_quantile(0.999),
        kinds: mixed.kinds,
        bytes_per_offer: mixed.bytes_per_offer,
        matches,
        deferred,
        plain_book,
    })
}

/// The longest command that is told from longer ones: a minute.
const LONGEST_NS: u64 = 60_000_000_000;

/// Nanoseconds to three significant digits.
fn nanoseconds() -> Result<Histogram<u64>, EngineBenchError> {
    Ok(Histogram::new_with_max(LONGEST_NS, 3)?)
}

fn count(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
}
