//! The seeded world: one seed gives one report, and its books balance.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use merit_sim::world::{MINUTES, WorldError, WorldReport, WorldSettings, run};
use merit_terms::Balance;

fn world(seed: u64) -> WorldReport {
    run(WorldSettings { seed, minutes: 6 }).unwrap().0
}

#[test]
fn the_same_seed_gives_the_same_report_and_digest() {
    let (one, again, other) = (world(7), world(7), world(8));
    assert_eq!(one, again);
    assert_ne!(one.digest, other.digest);
}

#[test]
fn in_the_end_accounts_sum_to_zero_without_open_leases() {
    let report = world(1);
    assert_eq!(report.balance_sum, Balance::ZERO);
    assert_eq!(report.open_leases, 0);
    let refused: u64 = report.total.refused.values().sum();
    assert_eq!(report.total.invocations + refused, report.total.calls);
    assert!(report.total.calls > 5_000, "{}", report.total.calls);
    let paid: i128 = report.sellers.iter().map(|sold| sold.paid.picodollars()).sum();
    assert_eq!(paid, report.total.paid.picodollars());
}

#[test]
fn every_seller_sells_and_scarcity_refuses_some() {
    let report = run(WorldSettings { seed: 1, minutes: 120 }).unwrap().0;
    for sold in &report.sellers {
        assert!(sold.invocations > 0, "{} sold nothing", sold.provider);
    }
    let refused = report.total.refused.get("no_capacity").copied().unwrap_or(0);
    assert!(refused > 0 && refused * 20 < report.total.calls, "{refused} of {}", report.total.calls);
    assert_eq!(report.total.refused.len(), usize::from(refused > 0), "{:?}", report.total.refused);
}

#[test]
fn minutes_beyond_the_trace_are_refused() {
    for minutes in [0, MINUTES + 1] {
        assert!(matches!(run(WorldSettings { seed: 1, minutes }), Err(WorldError::Minutes(_))));
    }
}
