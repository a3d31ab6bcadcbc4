//! Fills a data directory with random commands of every kind, for a fixture: `random_market DIR SEED COMMANDS`.
//!
//! Deferred bids, quotas, budgets, claims, back-offs, the operator's commands: everything that a journal can hold.

use std::collections::VecDeque;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use merit_engine::{Command, Engine};
use merit_exchange::{Collected, Happened, Intake, Projection, restore};
use merit_journal as journal;
use merit_journal::storage::Directory;
use merit_kit::Traffic;
use merit_terms::Time;

/// Beginning of the market, in the past, so that a market that goes on from it is not behind its clock.
const HOURS_AGO: Duration = Duration::from_secs(6 * 3600);

/// Maximum number of further commands until bids rest and leases are open in the end.
const LONGER: u64 = 5000;

struct Nobody;

impl Projection for Nobody {
    fn checkpoint(&self) -> u64 {
        u64::MAX
    }

    fn begin(&self, _engine: &Engine) {}

    fn apply(&self, _happened: &mut Vec<Happened>) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, seed, commands] = &arguments[..] else {
        return Err("usage: random_market DIR SEED COMMANDS".into());
    };
    let storage = Directory::create(Path::new(directory))?;
    let restored = restore(storage, journal::Settings::default(), &Nobody)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH)? - HOURS_AGO;
    let begin = restored.engine.last_at().max(Time::from_micros(u64::try_from(since.as_micros())?));
    let mut traffic = Traffic::new(seed.parse()?, begin);
    let (mut intake, mut journal) = (Intake::new(restored.engine), restored.journal);
    let mut collected = Collected::empty();
    let run = intake.engine().run() + 1;
    let mut opening = VecDeque::from([Command::Start { run }]);
    let upto = intake.engine().sequence() + commands.parse::<u64>()?;
    let is_over = |engine: &Engine| {
        let rests = engine.resting().next().is_some() && engine.open_leases().next().is_some();
        engine.sequence() >= if rests { upto } else { upto + LONGER }
    };
    while !is_over(intake.engine()) {
        let command = opening.pop_front().unwrap_or_else(|| traffic.next(intake.engine()));
        // A refusal is an answer like any other.
        drop(intake.submit(traffic.clock(), &command));
        if intake.bytes() > 4096 {
            collected.happened.clear();
            intake.take(&mut collected);
            journal.append(&mut collected.batch)?;
        }
    }
    collected.happened.clear();
    intake.take(&mut collected);
    journal.append(&mut collected.batch)?;
    let engine = intake.engine();
    let (resting, leases) = (engine.resting().count(), engine.open_leases().count());
    println!("{} commands, {resting} resting bids, {leases} open leases", engine.sequence());
    Ok(())
}
