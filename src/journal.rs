//! `merit journal`: looking at a data directory without changing it.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::json;

use crate::output::{Output, print_json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Read every record, replay it, and report the state that it gives
    Verify {
        /// The data directory
        #[arg(default_value = "./merit-data", env = "MERIT_DATA_DIR")]
        data_dir: PathBuf,
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Command::Verify { data_dir, output } = arguments.command;
    if !data_dir.is_dir() {
        bail!("there is no data directory {}; name it, as in `merit journal verify DIR`", data_dir.display());
    }
    let mut trades = 0_u64;
    let replayed = merit_exchange::replay(&data_dir, |_, _, events| {
        trades += events.iter().filter(|event| matches!(event, merit_engine::Event::Settled { .. })).count() as u64;
    })
    .with_context(|| format!("the journal in {} does not replay", data_dir.display()))?;
    let (engine, report) = (&replayed.engine, &replayed.report);
    let contents = &report.contents;
    if contents.segments == 0 {
        bail!(
            "there is no journal in {}; a data directory holds files such as journal-0000000001.segment",
            data_dir.display()
        );
    }
    let (digest, sum) = (format!("{:032x}", engine.digest()), engine.balance_sum());
    match output {
        Output::Json => print_json(&json!({
            "segments": contents.segments,
            "batches": contents.batches,
            "records": contents.records,
            "bytes": contents.bytes,
            "runs": engine.run(),
            "last_sequence": engine.sequence(),
            "trades": trades,
            "open_leases": engine.open_leases().count(),
            "balance_sum": sum.to_string(),
            "digest": digest,
            "damage": report.damage.as_ref().map(ToString::to_string),
            "in_use": report.in_use,
        })),
        Output::Table => {
            println!(
                "{} records in {} batches and {} segments, {} bytes",
                contents.records, contents.batches, contents.segments, contents.bytes
            );
            println!(
                "{} runs, last sequence {}, {trades} trades, {} open leases",
                engine.run(),
                engine.sequence(),
                engine.open_leases().count()
            );
            println!("the balances sum to {sum}; digest {digest}");
            if report.in_use {
                println!("a process is writing this journal: what it has not finished may look like a damaged end");
            }
        }
    }
    if sum != merit_terms::Balance::ZERO {
        bail!("the balances sum to {sum} instead of 0: the journal is not to be trusted, restore it from a backup");
    }
    match &report.damage {
        None => Ok(()),
        Some(damage) => bail!("{damage}; {}", damage.way_out()),
    }
}
