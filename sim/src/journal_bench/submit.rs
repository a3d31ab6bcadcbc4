//! Those who submit: each acquires and settles by turns, a burst at a time, and waits until the burst is durable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use merit_engine::Reply;
use merit_exchange::{Sequencer, SubmitError, Submitted};
use merit_terms::LeaseId;

use super::market::Market;
use super::{JournalBenchError, Settings};

/// Leases that each submitter keeps open, as calls that run.
const RUNNING: usize = 16;
/// The longest wait that is told from longer ones: a minute.
const LONGEST_US: u64 = 60_000_000;

/// Lets all submit until then; how long the bursts waited, in microseconds.
pub(super) async fn all(
    sequencer: &Arc<Sequencer>,
    market: &Arc<Market>,
    settings: &Settings,
    until: Instant,
) -> Result<Histogram<u64>, JournalBenchError> {
    let submitters: Vec<_> = (0..settings.submitters)
        .map(|number| {
            let (sequencer, market, burst) = (sequencer.clone(), market.clone(), settings.burst);
            tokio::spawn(async move { one(&sequencer, &market, number, burst, until).await })
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
            let submitted = submit(sequencer, market, turn, &mut running)?;
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
    turn: u32,
    running: &mut VecDeque<LeaseId>,
) -> Result<Submitted, JournalBenchError> {
    let lease = if running.len() >= RUNNING { running.pop_front() } else { None };
    let command = lease.map_or_else(|| market.acquire(turn), Market::settle);
    let submitted = submit_when_there_is_room(sequencer, &command)?;
    match &submitted.applied.reply {
        Ok(Reply::Granted(grant)) => running.push_back(grant.terms.lease),
        Ok(_) => {}
        Err(refusal) => return Err(JournalBenchError::Refused(refusal.clone())),
    }
    Ok(submitted)
}

/// Tries again while the disk is too far behind.
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
