//! The submitters: each submits a burst at a time and then waits for its durability. Never measures the disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use merit_engine::Reply;
use merit_exchange::{Sequencer, SubmitError, Submitted};
use merit_terms::LeaseId;

use super::market::Market;
use super::{JournalBenchError, JournalBenchSettings};

/// Open leases of each submitter, like running calls.
const RUNNING: usize = 16;
/// Maximum recorded wait in microseconds: a minute.
const LONGEST_US: u64 = 60_000_000;

/// The kind of submitted commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandLoad {
    /// Entries, which cost the engine next to nothing.
    Entries,
    /// Calls, acquired and settled by turns.
    Calls,
}

/// Lets every submitter submit until `until`. Returns the waits of the bursts in microseconds.
pub(super) async fn all(
    sequencer: &Arc<Sequencer>,
    market: &Arc<Market>,
    settings: &JournalBenchSettings,
    load: CommandLoad,
    until: Instant,
) -> Result<Histogram<u64>, JournalBenchError> {
    let submitters: Vec<_> = (0..settings.submitters)
        .map(|number| {
            let (sequencer, market, burst) = (sequencer.clone(), market.clone(), settings.burst);
            tokio::spawn(async move { one(&sequencer, &market, load, number, burst, until).await })
        })
        .collect();
    let mut waits = Histogram::new_with_max(LONGEST_US, 3)?;
    for submitter in submitters {
        for wait_us in submitter.await?? {
            waits.saturating_record(wait_us);
        }
    }
    Ok(waits)
}

async fn one(
    sequencer: &Sequencer,
    market: &Market,
    load: CommandLoad,
    number: u32,
    burst: u32,
    until: Instant,
) -> Result<Vec<u64>, JournalBenchError> {
    let mut running = VecDeque::new();
    let mut waits = Vec::new();
    let mut turn = number;
    while Instant::now() < until {
        let mut last = None;
        for _ in 0..burst {
            turn = turn.wrapping_add(1);
            let submitted = submit(sequencer, market, load, turn, &mut running)?;
            last = Some(submitted.durable);
        }
        if let Some(durable) = last {
            let submitted = Instant::now();
            durable.wait().await?;
            waits.push(u64::try_from(submitted.elapsed().as_micros()).unwrap_or(LONGEST_US));
        }
    }
    Ok(waits)
}

fn submit(
    sequencer: &Sequencer,
    market: &Market,
    load: CommandLoad,
    turn: u32,
    running: &mut VecDeque<LeaseId>,
) -> Result<Submitted, JournalBenchError> {
    let command = match load {
        CommandLoad::Entries => market.entry(turn),
        CommandLoad::Calls if running.len() < RUNNING => market.acquire(turn),
        CommandLoad::Calls => running.pop_front().map_or_else(|| market.acquire(turn), Market::settle),
    };
    let submitted = submit_when_there_is_room(sequencer, &command)?;
    match &submitted.applied.reply {
        Ok(Reply::Granted(grant)) => running.push_back(grant.terms.lease),
        Ok(_) => {}
        Err(refusal) => return Err(JournalBenchError::Refused(refusal.clone())),
    }
    Ok(submitted)
}

/// Submits a command, again and again while the disk is too far behind.
fn submit_when_there_is_room(
    sequencer: &Sequencer,
    command: &merit_engine::Command,
) -> Result<Submitted, JournalBenchError> {
    loop {
        match sequencer.submit(command) {
            Err(SubmitError::Behind) => std::thread::yield_now(),
            submitted => return Ok(submitted?),
        }
    }
}
