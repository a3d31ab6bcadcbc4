//! `merit bench invoke`: requests through Merit, through plain proxies and through nothing, side by side.

use std::path::PathBuf;

use anyhow::Context;
use merit_sim::invoke_bench::{self, InvokeBenchReport, InvokeBenchRow, InvokeBenchSettings, Target};
use serde_json::to_value;

use crate::output::Kind::{Number, Text};
use crate::output::{OutputArgument, print_json, print_table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Connections that send requests, each one request at a time
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    connections: Vec<usize>,
    /// Seconds of each row in each round
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
    /// Rounds; a row shows its medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Build of merit to measure [default: this one]
    #[arg(long, value_name = "FILE")]
    merit: Option<PathBuf>,
    #[command(flatten)]
    format: OutputArgument,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("the path of this program")?;
    let report = invoke_bench::run(InvokeBenchSettings {
        merit: arguments.merit.unwrap_or_else(|| own.clone()),
        forwarder: own,
        targets: Target::ALL.to_vec(),
        connections: arguments.connections,
        seconds: arguments.seconds,
        rounds: arguments.rounds,
    })?;
    if arguments.format.is_json() {
        print_json(&to_value(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn print(report: &InvokeBenchReport) {
    match report.cores {
        Some((measured, rest)) => println!("measured process on core {measured}, load and provider on core {rest}"),
        None => println!("one core for all: the rows disturb each other"),
    }
    println!("{} bytes each way, medians of {} rounds of {} s\n", report.payload_bytes, report.rounds, report.seconds);
    let columns = [
        ("target", Text),
        ("connections", Number),
        ("requests/s", Number),
        ("least", Number),
        ("most", Number),
        ("p50 us", Number),
        ("p99 us", Number),
        ("CPU us/request", Number),
        ("CPU to nginx", Number),
        ("p50 to nginx", Number),
    ];
    print_table(&columns, report.rows.iter().map(row));
    for missing in &report.missing {
        println!("{} is not installed; as root: {}", missing.target.as_str(), missing.install);
    }
}

fn row(row: &InvokeBenchRow) -> Vec<String> {
    let (least, most) = row.requests_per_second_range;
    let optional = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    vec![
        row.target.as_str().to_owned(),
        row.connections.to_string(),
        format!("{:.0}", row.requests_per_second),
        format!("{least:.0}"),
        format!("{most:.0}"),
        row.p50_us.to_string(),
        row.p99_us.to_string(),
        optional(row.cpu_us_per_request),
        optional(row.cpu_to_nginx),
        optional(row.p50_to_nginx),
    ]
}
