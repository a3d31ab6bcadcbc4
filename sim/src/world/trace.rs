//! The workload: the functions of the committed Azure trace, and the calls drawn from it.
//!
//! Owns what is read from the trace and how calls are drawn between its percentiles and inside its minutes. A draw
//! depends on the seed alone, never on what the market did with earlier calls.

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

/// The minutes of the trace's first day that the sample has: 08:00 to 16:00.
const FIRST_MINUTE: usize = 480;
/// How many minutes the sample has.
pub const MINUTES: u32 = 480;
/// The percentiles that the trace gives of a duration, as shares.
const PERCENTILES: [(f64, &str); 7] =
    [(0.0, "0"), (0.01, "1"), (0.25, "25"), (0.5, "50"), (0.75, "75"), (0.99, "99"), (1.0, "100")];
/// Durations are whole ms in the trace; those below one are drawn up from here.
const LEAST_MS: f64 = 0.5;
/// What memory is configured in: the least that the listed platforms all sell.
const MEMORY_STEP_MB: u32 = 128;
/// A function's timeout over its longest duration: the slowest seller's slowness.
const TIMEOUT_OVER_LONGEST: f64 = 1.25;
const MINUTE_US: u64 = 60_000_000;
/// As much of a hash as names a function or an owner: distinct in the sample.
const HASH_CHARACTERS: usize = 12;

/// One function of the trace.
pub(crate) struct TracedFunction {
    pub(crate) owner: Name,
    pub(crate) name: Name,
    /// The most that its application took, rounded up to what can be configured.
    pub(crate) memory_mb: u32,
    pub(crate) timeout_ms: u32,
    durations_ms: [f64; PERCENTILES.len()],
    arrivals: Vec<u32>,
}

/// One invocation to come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    /// From the start of the world.
    pub(crate) at_us: u64,
    /// Its position among the functions.
    pub(crate) function: usize,
    /// How long it runs at a provider of speed 1.
    pub(crate) wall_us: u64,
}

type Row = HashMap<String, String>;

/// The functions of the trace, in its order.
pub(crate) fn read() -> Result<Vec<TracedFunction>, WorldError> {
    let (durations, memory) = (by_function(DURATIONS)?, by_function(MEMORY)?);
    let join = |row: Row| -> Result<TracedFunction, WorldError> {
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

/// The calls of one minute, in order of time.
pub(crate) fn calls(functions: &[TracedFunction], minute: u32, chance: &mut Pcg64) -> Vec<Call> {
    let from_us = u64::from(minute) * MINUTE_US;
    let mut calls = Vec::new();
    for (function, traced) in functions.iter().enumerate() {
        for _ in 0..traced.arrivals.get(minute as usize).copied().unwrap_or(0) {
            let at_us = from_us + chance.random_range(0..MINUTE_US);
            calls.push(Call { at_us, function, wall_us: traced.draw_us(chance) });
        }
    }
    calls.sort_unstable();
    calls
}

impl TracedFunction {
    /// A duration between two percentiles, on a logarithmic scale: most of the mass is near the lower one.
    fn draw_us(&self, chance: &mut Pcg64) -> u64 {
        let share: f64 = chance.random();
        let upper = PERCENTILES.iter().position(|(percentile, _)| *percentile > share).unwrap_or(PERCENTILES.len() - 1);
        let (from, to) = (PERCENTILES[upper - 1].0, PERCENTILES[upper].0);
        let (least, most) = (self.durations_ms[upper - 1], self.durations_ms[upper]);
        let ms = least * (most / least).powf((share - from) / (to - from));
        (ms * 1000.0).round().max(1.0) as u64
    }
}

fn rows(text: &str) -> Result<Vec<Row>, WorldError> {
    Ok(csv::Reader::from_reader(text.as_bytes()).deserialize().collect::<Result<_, _>>()?)
}

fn by_function(text: &str) -> Result<HashMap<String, Row>, WorldError> {
    rows(text)?.into_iter().map(|row| Ok((field(&row, "HashFunction")?.to_owned(), row))).collect()
}

pub(crate) fn field<'a>(row: &'a Row, column: &str) -> Result<&'a str, WorldError> {
    row.get(column).map(String::as_str).ok_or_else(|| WorldError::Data(format!("there is no column {column}")))
}

fn number(row: &Row, column: &str) -> Result<f64, WorldError> {
    let text = field(row, column)?;
    text.parse().map_err(|_| WorldError::Data(format!("{column}: `{text}` is not a number")))
}

fn name(hash: &str) -> Result<Name, WorldError> {
    let text = hash.get(..HASH_CHARACTERS).unwrap_or(hash);
    text.parse().map_err(|error: merit_terms::NameError| WorldError::Data(error.to_string()))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_sample_has_what_its_provenance_says() {
        let functions = read().unwrap();
        assert_eq!(functions.len(), 250);
        let arrivals: u32 = functions.iter().flat_map(|function| &function.arrivals).sum();
        assert_eq!(arrivals, 567_403);
        let names: std::collections::HashSet<_> = functions.iter().map(|function| &function.name).collect();
        assert_eq!(names.len(), 250, "a shortened hash names two functions");
    }

    #[test]
    fn every_draw_is_within_the_trace_and_its_median_is_the_traces() {
        let functions = read().unwrap();
        let busiest = functions.iter().max_by_key(|function| function.arrivals.iter().sum::<u32>()).unwrap();
        let mut chance = Pcg64::seed_from_u64(1);
        let mut drawn: Vec<u64> = (0..10_000).map(|_| busiest.draw_us(&mut chance)).collect();
        drawn.sort_unstable();
        let ms = busiest.durations_ms;
        assert!(drawn[0] >= (ms[0] * 1000.0) as u64 && drawn[9_999] <= (ms[6] * 1000.0) as u64);
        let median = drawn[5_000] as f64 / 1000.0 / ms[3];
        assert!((0.97..1.03).contains(&median), "{median}");
    }
}
