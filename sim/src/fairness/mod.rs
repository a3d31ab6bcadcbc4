//! Evidence that no seller gains by misbehaving: one row a strategy, each a small market on a virtual clock.
//!
//! The production engine decides; the same seed gives the same report. Never knows brokers and networks: it repeats a
//! call as a broker does.

mod fates;
mod figures;
mod floor;
mod strategy;
mod trial;

use merit_terms::{NameError, Refusal};
use serde::Serialize;

pub use figures::{FairnessReturn, FairnessRow};
use strategy::Strategy;

/// A failure of the bench.
#[derive(Debug, thiserror::Error)]
pub enum FairnessError {
    #[error("a name of the bench is malformed")]
    Name(#[from] NameError),
    #[error("the engine refused a command of the bench: {0}")]
    Refused(Refusal),
    #[error("the engine answered a command with another one's reply")]
    Reply,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FairnessReport {
    pub seed: u64,
    /// Calls of each row.
    pub calls: u64,
    pub rows: Vec<FairnessRow>,
    /// Digests of the markets of all rows.
    pub digests: Vec<String>,
}

/// Runs every strategy.
pub fn run(seed: u64) -> Result<FairnessReport, FairnessError> {
    let honest = trial::run(Strategy::Honest, seed)?;
    let mut report = FairnessReport { seed, calls: trial::CALLS, rows: Vec::new(), digests: Vec::new() };
    for (strategy, name) in Strategy::ALL {
        let fates = trial::run(strategy, seed)?;
        report.digests.push(format!("{:032x}", fates.digest));
        let row = figures::row(name, &fates, &honest, strategy.reforms());
        match report.rows.last_mut().filter(|before| before.strategy == name) {
            Some(before) if before.lost >= row.lost => {}
            Some(before) => *before = row,
            None => report.rows.push(row),
        }
    }
    Ok(report)
}
