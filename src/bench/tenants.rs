//! `merit bench tenants`: a good tenant's success and latency, alone and beside two that do their worst.

use std::path::PathBuf;

use anyhow::Context;
use merit_sim::tenants_bench::{self, TenantsBenchReport, TenantsBenchRow, TenantsBenchSettings};
use serde_json::to_value;

use crate::output::Kind::{Number, Text};
use crate::output::{OutputArgument, print_json, print_table};

/// The good tenant's module.
const MODULE: &[u8] = include_bytes!("../../functions/echo.wasm");

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of load alone, and again beside the bad tenants, over all rounds
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Rounds: each measures alone, then beside the bad tenants
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Calls a second of the good tenant
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// Concurrency limit of each account; 0 means none
    #[arg(long, default_value_t = 16)]
    max_concurrency: u32,
    /// Only the attacks whose names contain this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    only: String,
    /// Build of merit to measure [default: this one]
    #[arg(long, value_name = "FILE")]
    merit: Option<PathBuf>,
    #[command(flatten)]
    format: OutputArgument,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("the path of this program")?;
    let report = tenants_bench::run(TenantsBenchSettings {
        merit: arguments.merit.unwrap_or(own),
        module: MODULE,
        seconds: arguments.seconds,
        rounds: arguments.rounds,
        rate: arguments.rate,
        only: arguments.only,
        max_concurrency: (arguments.max_concurrency > 0).then_some(arguments.max_concurrency),
    })
    .await?;
    if arguments.format.is_json() {
        print_json(&to_value(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn print(report: &TenantsBenchReport) {
    println!(
        "one good tenant, {} calls a second; {} bad ones, {} loops each; {} s alone, {} s beside them",
        report.rate, report.bad_tenants, report.loops, report.seconds, report.seconds
    );
    println!("{}\n", report.max_concurrency.map_or("calls at once of an account: no limit".to_owned(), limit));
    let columns = [
        ("good tenant", Text),
        ("round", Number),
        ("calls", Number),
        ("success %", Number),
        ("p50 ms", Number),
        ("p99 ms", Number),
        ("max ms", Number),
        ("failures", Text),
    ];
    print_table(&columns, report.rows.iter().chain([&report.alone, &report.attacked]).map(cells));
    println!("\np99 beside the bad tenants to p99 alone: {:.2}\n", report.p99_ratio);
    let deeds = report.deeds.iter().map(|row| vec![row.deed.to_owned(), joined(&row.answers)]);
    print_table(&[("the bad tenants' deeds", Text), ("answers", Text)], deeds);
}

fn limit(calls: u32) -> String {
    format!("calls at once of an account: at most {calls}")
}

fn cells(row: &TenantsBenchRow) -> Vec<String> {
    let milliseconds = |us: u64| format!("{:.1}", us as f64 / 1000.0);
    vec![
        if row.attacked { "beside bad ones" } else { "alone" }.to_owned(),
        row.round.map_or("all".to_owned(), |round| round.to_string()),
        row.calls.to_string(),
        format!("{:.2}", row.success_percent),
        milliseconds(row.p50_us),
        milliseconds(row.p99_us),
        milliseconds(row.max_us),
        joined(&row.failures),
    ]
}

/// Returns answers with their counts, such as `12 x 503 no_supply`.
fn joined(answers: &[(String, u64)]) -> String {
    if answers.is_empty() {
        return "-".to_owned();
    }
    answers.iter().map(|(word, count)| format!("{count} x {word}")).collect::<Vec<_>>().join(", ")
}
