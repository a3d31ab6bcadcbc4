//! Markets that crash on a disk with faults, seed by seed: nothing acknowledged is lost, nothing is charged twice,
//! nothing is left over.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod market;

use market::{Report, Settings, run};

/// Default number of seeds, some seconds: enough for every fault in every kind of call. `MERIT_SEEDS` sets another.
const SEEDS: u64 = 300;

#[test]
fn no_fault_of_the_disk_loses_an_acknowledged_command() {
    let seeds = std::env::var("MERIT_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("MERIT_SEEDS is a number"));
    let mut total = Report::default();
    for seed in 0..seeds {
        let report = run(&Settings { seed, crashes: 12, commands: 150 })
            .unwrap_or_else(|error| panic!("seed {seed}: {}", chain(&error)));
        total.commands += report.commands;
        total.lost += report.lost;
        total.settled += report.settled;
        total.snapshots += report.snapshots;
        total.starts_from_snapshot += report.starts_from_snapshot;
        total.cuts += report.cuts;
        total.first_segment = total.first_segment.max(report.first_segment);
        total.faults.reads += report.faults.reads;
        total.faults.writes += report.faults.writes;
        total.faults.syncs += report.faults.syncs;
        total.faults.names += report.faults.names;
        total.faults.crashes += report.faults.crashes;
    }
    println!("seeds 0 to {}: {total:?}", seeds - 1);
    let faults = total.faults;
    for (what, count) in [
        ("commands", total.commands / 1000),
        ("lost and unacknowledged", total.lost),
        ("settled", total.settled),
        ("snapshots", total.snapshots),
        ("starts from a snapshot", total.starts_from_snapshot),
        ("ends cut", total.cuts),
        ("trimmed segments", u64::from(total.first_segment) - 1),
        ("failed reads", faults.reads),
        ("failed writes", faults.writes),
        ("failed syncs", faults.syncs),
        ("failed names", faults.names),
        ("crashes in a call", faults.crashes),
    ] {
        assert!(count > 0, "there was no {what}: {total:?}");
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
