//! The speed of the matching engine on one core: the production `apply`, with ledger, holds, prediction and events on.
//!
//! Measures the time of `apply` and of dropping its events. Each timing has two clock readings in it, some tens of
//! nanoseconds. Never measures the drawing of commands, journal, sequencer or network.

mod deferred;
mod market;
mod matches;
mod memory;
mod mix;

use std::time::Duration;

use hdrhistogram::Histogram;
use merit_terms::{NameError, Refusal};
use serde::Serialize;

use crate::plain_book_bench::{self, Plain};

pub use memory::MemoryError;

/// The sizes of the bench.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// Number of resting offers while commands are mixed.
    pub offers: u32,
    /// Number of their providers.
    pub providers: u32,
    pub functions: u32,
    /// Seconds of mixed commands; each shape of match takes at most a third of them.
    pub seconds: f64,
    /// Number of offers and of providers in the measurement of single matches.
    pub match_offers: u32,
    pub match_providers: u32,
}

/// Number of offers at which a match has its bound of 1 us.
pub const MATCH_OFFERS: u32 = 10_000;
/// Number of providers at which a match has its bound of 1 us.
pub const MATCH_PROVIDERS: u32 = 1_000;

/// A failure of the bench.
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
    #[error("a name of the bench is malformed")]
    Name(#[from] NameError),
    #[error("the memory of this process cannot be read")]
    Memory(#[from] MemoryError),
    #[error("the latencies cannot be recorded")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// The measurements; every size is as it was run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub offers: u32,
    pub providers: u32,
    pub functions: u32,
    pub markets: u32,
    /// Number of open leases while commands are mixed.
    pub leases: u32,
    pub commands: u64,
    pub seconds: f64,
    pub commands_per_second: f64,
    pub p50_ns: u64,
    pub p999_ns: u64,
    /// Latencies of each kind of command in the mix.
    pub kinds: Vec<Kind>,
    /// Growth of the process per posted offer; providers and functions were there before.
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

/// Latencies of one acquire, its lease included, among many offers.
#[derive(Clone, Debug, Serialize)]
pub struct Matches {
    pub offers: u32,
    pub providers: u32,
    /// Every offer is eligible, none has a history.
    pub all: Latency,
    /// The offers of one provider are eligible.
    pub rare: Latency,
    /// Half of the offers is eligible, with a history of speeds up to four times apart.
    pub spread: Latency,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    pub matches: u64,
    pub p50_ns: u64,
    pub p999_ns: u64,
}

/// Delays from the command that crosses a deferred bid to its match.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Crossings {
    /// Number of resting bids.
    pub bids: u32,
    pub matches: u64,
    pub p50_ns: u64,
    pub p999_ns: u64,
    /// Maximum number of commands until the match, the crossing one included.
    pub commands_max: u32,
}

/// Runs the bench. Takes about three times `seconds`, and the time to post the offers.
pub fn run(settings: &Settings) -> Result<Report, EngineBenchError> {
    let sizes = [settings.offers, settings.providers, settings.functions, settings.match_offers];
    if sizes.contains(&0) || settings.match_providers == 0 || settings.seconds.is_nan() || settings.seconds <= 0.0 {
        return Err(EngineBenchError::Nothing);
    }
    let mixed = mix::run(settings)?;
    let matches = matches::run(settings, Duration::from_secs_f64(settings.seconds / 3.0))?;
    let deferred = deferred::run(settings, Duration::from_secs_f64(settings.seconds / 5.0))?;
    let plain_book = plain_book_bench::ours(settings.seed, Duration::from_secs_f64(settings.seconds / 5.0));
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

/// Maximum recorded time of a command in nanoseconds: a minute.
const LONGEST_NS: u64 = 60_000_000_000;

/// Makes a histogram of nanoseconds to three significant digits.
fn nanoseconds() -> Result<Histogram<u64>, EngineBenchError> {
    Ok(Histogram::new_with_max(LONGEST_NS, 3)?)
}

fn count(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
}
