//! A seeded world on a virtual clock: the committed trace's calls, bought on the production engine from the sellers of
//! the committed price list.
//!
//! Every call is acquired, runs for its drawn duration at the seller's speed, and is settled at its virtual end. The
//! same seed gives the same report and the same digest. Never knows brokers, networks, cold starts and free tiers.

mod opening;
mod report;
mod sellers;
mod trace;
mod trading;

use std::time::Instant;

use merit_terms::{MoneyError, NameError, Refusal};
use rand::SeedableRng;
use rand_pcg::Pcg64;

pub use report::{Alone, Sold, Timing, Total, WorldReport};
pub use trace::MINUTES;

use trading::World;

/// The seed and length of a world.
#[derive(Clone, Copy, Debug)]
pub struct WorldSettings {
    pub seed: u64,
    /// Minutes of the trace from its first one; at most [`MINUTES`].
    pub minutes: u32,
}

/// A failure of a world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("{0} minutes; the trace has 1 to {MINUTES}")]
    Minutes(u32),
    #[error("the committed data cannot be read")]
    Csv(#[from] csv::Error),
    #[error("the committed data: {0}")]
    Data(String),
    #[error("the committed data has a malformed price")]
    Money(#[from] MoneyError),
    #[error("a name of the world is malformed")]
    Name(#[from] NameError),
    #[error("the engine refused to set the world up: {0}")]
    Refused(Refusal),
    #[error("the engine answered a command with another one's reply")]
    Reply,
}

/// Runs the world to its end.
pub fn run(settings: WorldSettings) -> Result<(WorldReport, Timing), WorldError> {
    if !(1..=MINUTES).contains(&settings.minutes) {
        return Err(WorldError::Minutes(settings.minutes));
    }
    let started = Instant::now();
    let mut world = World::open()?;
    let mut chance = Pcg64::seed_from_u64(settings.seed);
    for minute in 0..settings.minutes {
        for call in trace::calls(&world.functions, minute, &mut chance) {
            world.settle_until(call.at_us)?;
            world.buy(call)?;
        }
    }
    world.settle_until(u64::MAX)?;
    let wall_seconds = started.elapsed().as_secs_f64();
    let timing = Timing { wall_seconds, commands_per_second: world.commands as f64 / wall_seconds };
    Ok((world.report(settings), timing))
}
