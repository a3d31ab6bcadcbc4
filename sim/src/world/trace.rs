//! The workload: the functions of the committed Azure trace, and the calls drawn from it.
//!
//! Owns the reading of the trace, and the draw of calls between its percentiles and inside its minutes. A draw depends
//! on the seed alone, never on the market's answer to earlier calls.

use std::collections::HashMap;

use merit_terms::Name;
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::world::WorldError;

const INVOCATIONS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/workload/azure2019_demo250/invocations.csv"));
const DURATIONS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/workload/azure2019_demo250/durations.csv"));
const MEMORY: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/workload/azure2019_demo250/memory.csv"));

/// First minute of the sample in the trace's first day: 08:00.
const FIRST_MINUTE: usize = 480;
/// Length of the sample in minutes, up to 16:00.
pub const MINUTES: u32 = 480;
/// Percentiles of a duration in the trace, as shares.
const PERCENTILES: [(f64, &str); 7] =
    [(0.0, "0"), (0.01, "1"), (0.25, "25"), (0.5, "50"), (0.75, "75"), (0.99, "99"), (1.0, "100")];
/// Minimum duration in ms: the trace has whole ms, and those below one are drawn from here up.
const LEAST_MS: f64 = 0.5;
/// Step of configured memory in MB: the least that all listed platforms sell.
const MEMORY_STEP_MB: u32 = 128;
/// Ratio of a function's timeout to its longest duration: the slowest seller's slowness.
const TIMEOUT_OVER_LONGEST: f64 = 1.25;
const MINUTE_US: u64 = 60_000_000;
/// Characters of a hash that name a function or an owner; they are distinct in the sample.
const HASH_CHARACTERS: usize = 12;

/// One function of the trace.
pub(crate) struct TracedFunction {
    pub(crate) owner: Name,
    pub(crate) name: Name,
    /// Maximum memory of its application, rounded up to a configured step.
    pub(crate) memory_mb: u32,
    pub(crate) timeout_ms: u32,
    durations_ms: [f64; PERCENTILES.len()],
    arrivals: Vec<u32>,
}

/// One future invocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TracedCall {
    /// Microseconds since the start of the world.
    pub(crate) at_us: u64,
    /// Position among the functions.
    pub(crate) function: usize,
    /// Wall time at a provider of speed 1.
    pub(crate) wall_us: u64,
}

type CsvRow = HashMap<String, String>;

/// Reads the functions of the trace, in its order.
pub(crate) fn read() -> Result<Vec<TracedFunction>, WorldError> {
    let (durations, memory) = (by_function(DURATIONS)?, by_function(MEMORY)?);
    let join = |row: CsvRow| -> Result<TracedFunction, WorldError> {
        let hash = field(&row, "HashFunction")?;
        let missing = || WorldError::Data(format!("the function {hash} is not in all three files of the trace"));
        let duration = durations.get(hash).ok_or_else(missing)?;
        let memory = memory.get(hash).ok_or_else(missing)?;
        let mut durations_ms = [0.0; PERCENTILES.len()];
        for (ms, (_, percentile)) in durations_ms.iter_mut().zip(PERCENTILES) {
            *ms = number(duration, &format!("percentile_Average_{percentile}"))?.max(LEAST_MS);
        }
        let longest_ms = durations_ms[PERCENTILES.len() - 1];
        let memory_mb = number(memory, "AverageAllocatedMb_pct100")?.ceil().max(1.0) as u32;
        let arrivals = (FIRST_MINUTE..FIRST_MINUTE + MINUTES as usize)
            .map(|minute| number(&row, &minute.to_string()).map(|count| count as u32))
            .collect::<Result<_, _>>()?;
        Ok(TracedFunction {
            owner: name(field(&row, "HashOwner")?)?,
            name: name(hash)?,
            memory_mb: memory_mb.next_multiple_of(MEMORY_STEP_MB),
            timeout_ms: ((longest_ms * TIMEOUT_OVER_LONGEST).ceil() as u32).next_multiple_of(1000),
            durations_ms,
            arrivals,
        })
    };
    rows(INVOCATIONS)?.into_iter().map(join).collect()
}

/// Draws the calls of one minute, in order of time.
pub(crate) fn calls(functions: &[TracedFunction], minute: u32, chance: &mut Pcg64) -> Vec<TracedCall> {
    let from_us = u64::from(minute) * MINUTE_US;
    let mut calls = Vec::new();
    for (function, traced) in functions.iter().enumerate() {
        for _ in 0..traced.arrivals.get(minute as usize).copied().unwrap_or(0) {
            let at_us = from_us + chance.random_range(0..MINUTE_US);
            calls.push(TracedCall { at_us, function, wall_us: traced.draw_us(chance) });
        }
    }
    calls.sort_unstable();
    calls
}

impl TracedFunction {
    /// Draws a duration between two percentiles, on a logarithmic scale: most of the mass is near the lower one.
    fn draw_us(&self, chance: &mut Pcg64) -> u64 {
        let share: f64 = chance.random();
        let upper = PERCENTILES.iter().position(|(percentile, _)| *percentile > share).unwrap_or(PERCENTILES.len() - 1);
        let (from, to) = (PERCENTILES[upper - 1].0, PERCENTILES[upper].0);
        let (least, most) = (self.durations_ms[upper - 1], self.durations_ms[upper]);
        let ms = least * (most / least).powf((share - from) / (to - from));
        (ms * 1000.0).round().max(1.0) as u64
    }
}

fn rows(text: &str) -> Result<Vec<CsvRow>, WorldError> {
    Ok(csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>()?)
}

fn by_function(text: &str) -> Result<HashMap<String, CsvRow>, WorldError> {
    rows(text)?.into_iter().map(|row| Ok((field(&row, "HashFunction")?.to_owned(), row))).collect()
}

pub(crate) fn field<'a>(row: &'a CsvRow, column: &str) -> Result<&'a str, WorldError> {
    row.get(column).map(String::as_str).ok_or_else(|| WorldError::Data(format!("there is no column {column}")))
}

fn number(row: &CsvRow, column: &str) -> Result<f64, WorldError> {
    let text = field(row, column)?;
    text.parse().map_err(|_| WorldError::Data(format!("{column}: `{text}` is not a number")))
}

fn name(hash: &str) -> Result<Name, WorldError> {
    let text = hash.get(..HASH_CHARACTERS).unwrap_or(hash);
    text.parse().map_err(|error: merit_terms::NameError| WorldError::Data(error.to_string()))
}

#[cfg(test)]
#[path = "../../tests/unit/world/trace.rs"]
mod tests;
