//! `merit bench fairness`: what sellers that misbehave win, earn and cost, each beside its honest self.

use merit_sim::fairness::{self, FairnessReport, FairnessReturn, FairnessRow};
use serde_json::to_value;

use crate::output::Kind::{Number, Text};
use crate::output::{OutputArgument, print_json, print_table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    format: OutputArgument,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let report = fairness::run(arguments.seed)?;
    if arguments.format.is_json() {
        print_json(&to_value(&report)?);
    } else {
        print(&report);
    }
    Ok(())
}

fn print(report: &FairnessReport) {
    println!("{} calls a row, seed {}\n", report.calls, report.seed);
    let columns = [
        ("seller", Text),
        ("won\n%", Number),
        ("earned\n%", Number),
        ("paid\n%", Number),
        ("failed\ncalls", Number),
        ("wait\nms", Number),
        ("behind\nafter", Number),
        ("lost\ncalls", Number),
        ("lost\nlater", Number),
        ("back\nafter", Number),
        ("goals", Text),
    ];
    print_table(&columns, report.rows.iter().map(cells));
    println!("\nGoals: 1. It earns at most 5 % more than its honest self. 2. It costs the buyer at most 10 calls.");
}

fn cells(row: &FairnessRow) -> Vec<String> {
    let or = |value: Option<String>, word: &str| value.unwrap_or_else(|| word.to_owned());
    let back = |back: FairnessReturn| match back.seconds {
        Some(seconds) => format!("{} calls, {seconds} s", back.calls),
        None => "never".to_owned(),
    };
    let goals = match (row.earns_no_more, row.found_in_time) {
        (true, true) => "met",
        (false, true) => "missed: 1",
        (true, false) => "missed: 2",
        (false, false) => "missed: 1, 2",
    };
    vec![
        row.strategy.to_owned(),
        format!("{:.1}", row.won_percent),
        format!("{:.1}", row.earned_percent),
        or(row.paid_percent.map(|percent| format!("{percent:.1}")), "-"),
        row.failed.to_string(),
        format!("{:.0}", row.waited_ms),
        or(row.behind_after.map(|calls| calls.to_string()), "never"),
        row.lost.to_string(),
        row.lost_later.to_string(),
        or(row.back.map(back), "-"),
        goals.to_owned(),
    ]
}
