//! `merit bench journal`: commands a second that are durable, beside the bare writes and syncs that they need.

use std::path::PathBuf;

use merit_sim::journal_bench::{self, JournalBenchReport, JournalBenchSettings, Phase};
use serde_json::to_value;

use crate::output::Kind::{Number, Text};
use crate::output::{Output, OutputArgument, print_json, print_table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folder on the disk to measure; holds a temporary data directory
    #[arg(long, value_name = "DIR")]
    within: Option<PathBuf>,
    /// Threads that submit commands at once
    #[arg(long, default_value_t = 8)]
    submitters: u32,
    /// Commands in flight per submitter
    #[arg(long, default_value_t = 512)]
    burst: u32,
    /// Seconds of each kind of command
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Seconds of the bare writes and syncs
    #[arg(long, default_value_t = 3.0)]
    floor_seconds: f64,
    /// Make snapshots beside it, as in production
    #[arg(long)]
    snapshots: bool,
    #[command(flatten)]
    format: OutputArgument,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let report = journal_bench::run(&JournalBenchSettings {
        within: arguments.within,
        submitters: arguments.submitters,
        burst: arguments.burst,
        seconds: arguments.seconds,
        floor_seconds: arguments.floor_seconds,
        snapshots: arguments.snapshots,
    })
    .await?;
    match arguments.format.output {
        Output::Json => print_json(&to_value(&report)?),
        Output::Table => print(&report),
    }
    Ok(())
}

fn print(report: &JournalBenchReport) {
    println!(
        "{} submitters, bursts of {}{}\n",
        report.submitters,
        report.burst,
        if report.snapshots { ", snapshots beside it" } else { "" }
    );
    let columns = [
        ("", Text),
        ("seconds", Number),
        ("records/s", Number),
        ("bytes a record", Number),
        ("records a sync", Number),
        ("syncs/s", Number),
        ("durable p50 us", Number),
        ("durable p99 us", Number),
    ];
    let phase = |name: &str, phase: &Phase| {
        vec![
            name.to_owned(),
            format!("{:.1}", phase.seconds),
            format!("{:.0}", phase.commands_per_second),
            format!("{:.0}", phase.bytes_per_command),
            format!("{:.0}", phase.commands_per_batch),
            format!("{:.0}", phase.syncs_per_second),
            phase.durable_p50_us.to_string(),
            phase.durable_p99_us.to_string(),
        ]
    };
    let floor = vec![
        "floor".to_owned(),
        format!("{:.1}", report.floor_seconds),
        format!("{:.0}", report.floor_records_per_second),
        format!("{:.0}", report.calls.bytes_per_command),
        format!("{:.0}", report.calls.commands_per_batch),
        format!("{:.0}", report.floor_syncs_per_second),
        "-".to_owned(),
        "-".to_owned(),
    ];
    print_table(&columns, [phase("calls", &report.calls), phase("entries", &report.entries), floor]);
    let starts = &report.starts;
    println!(
        "\nA start on all of it replays {} commands in {:.2} s, and goes on from a snapshot in {:.2} s",
        starts.replayed, starts.replay_seconds, starts.snapshot_seconds
    );
}
