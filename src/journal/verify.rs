//! `merit journal verify`: checks every byte, and the state after a replay.

use anyhow::{Context, bail};
use merit_engine::Event;
use merit_exchange::history::{self, SnapshotCheck, Verdict, Verified};
use serde_json::{Value, json};

use super::DataDir;
use crate::output::{Output, OutputArgument, print_json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    format: OutputArgument,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let data_dir = arguments.data.path()?;
    let mut trades = 0_u64;
    let verified = history::verify(data_dir, |_, _, events| {
        trades += events.iter().filter(|event| matches!(event, Event::Settled { .. })).count() as u64;
    })
    .with_context(|| format!("the journal in {} does not replay", data_dir.display()))?;
    match arguments.format.output {
        Output::Json => print_json(&report(&verified, trades)),
        Output::Table => print(&verified, trades),
    }
    conclude(&verified)
}

fn report(verified: &Verified, trades: u64) -> Value {
    let Verified { engine, report, began_after, snapshots } = verified;
    let contents = &report.contents;
    json!({
        "segments": contents.segments,
        "batches": contents.batches,
        "records": contents.records,
        "bytes": contents.bytes,
        "first_sequence": contents.first_sequence,
        "replayed_after": began_after,
        "runs": engine.run(),
        "rules": engine.rules(),
        "last_sequence": engine.sequence(),
        "trades": trades,
        "open_leases": engine.open_leases().count(),
        "resting_bids": engine.resting().count(),
        "balance_sum": engine.balance_sum().to_string(),
        "digest": format!("{:032x}", engine.digest()),
        "snapshots": snapshots.iter().map(snapshot).collect::<Vec<_>>(),
        "damage": report.damage.as_ref().map(ToString::to_string),
        "in_use": report.in_use,
    })
}

fn snapshot(check: &SnapshotCheck) -> Value {
    json!({
        "sequence": check.sequence,
        "digest": check.header.map(|header| format!("{:032x}", header.digest)),
        "good": check.verdict.is_good(),
        "verdict": told(&check.verdict),
    })
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Sound => "equals the replay".to_owned(),
        Verdict::Alone => "checksums are good; no replay reaches it to compare it with".to_owned(),
        Verdict::Damaged(damage) => damage.to_string(),
        Verdict::Differs { replayed } => format!("the replay gives another digest, {replayed:032x}"),
        Verdict::OtherJournal => "it belongs to another journal".to_owned(),
        Verdict::Ahead => "the journal ends before it".to_owned(),
        Verdict::Unreadable(why) => why.clone(),
    }
}

fn print(verified: &Verified, trades: u64) {
    let Verified { engine, report, began_after, snapshots } = verified;
    let contents = &report.contents;
    println!(
        "{} records in {} batches and {} segments, {} bytes",
        contents.records, contents.batches, contents.segments, contents.bytes
    );
    for check in snapshots {
        println!("snapshot of sequence {}: {}", check.sequence, told(&check.verdict));
    }
    match began_after {
        None => {}
        Some(0) => println!("replayed from the beginning"),
        Some(snapshot) => println!("replayed from the snapshot of sequence {snapshot}"),
    }
    println!(
        "{} runs, last sequence {}, {trades} trades, {} open leases",
        engine.run(),
        engine.sequence(),
        engine.open_leases().count()
    );
    println!("the balances sum to {}; digest {:032x}", engine.balance_sum(), engine.digest());
    if report.in_use {
        println!("a process is writing this journal: an unfinished batch may look like a damaged end");
    }
}

/// Fails if anything is wrong.
fn conclude(verified: &Verified) -> anyhow::Result<()> {
    let sum = verified.engine.balance_sum();
    if sum != merit_terms::Balance::ZERO {
        bail!("the balances sum to {sum} instead of 0: the journal is not to be trusted, restore it from a backup");
    }
    if let Some(damage) = &verified.report.damage {
        bail!("{damage}; {}", damage.way_out());
    }
    if verified.began_after.is_none() {
        bail!("the journal no longer reaches back to its beginning, and no snapshot is good: restore one from a copy");
    }
    match verified.snapshots.iter().find(|check| !check.verdict.is_good()) {
        None => Ok(()),
        Some(check) => bail!(
            "snapshot of sequence {}: {}; a start falls back to another snapshot or the journal, if they reach far \
             enough",
            check.sequence,
            told(&check.verdict)
        ),
    }
}
