//! The fairness bench: one seed gives one table, and no strategy earns more than honesty.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use merit_sim::fairness::{FairnessReport, run};

/// Rows that cost the buyer more than ten calls; `docs/evidence-fairness.md` has the reasons.
const COST_MORE: [&str; 4] = ["throttles", "freezes", "freezes and claims", "freezes 2 of 3, claims"];

fn report(seed: u64) -> FairnessReport {
    run(seed).unwrap()
}

#[test]
fn misbehaving_earns_no_more_and_is_found_in_time() {
    let report = report(1);
    assert_eq!(report.rows.len(), 14);
    for row in &report.rows {
        assert!(row.earns_no_more, "{row:?}");
        assert!(row.found_in_time || COST_MORE.contains(&row.strategy), "{row:?}");
    }
}

#[test]
fn no_call_fails_but_those_that_exit() {
    for row in report(2).rows {
        assert!(row.failed == 0 || row.strategy.starts_with("fails"), "{row:?}");
        assert!(row.failed <= 10, "{row:?}");
    }
}

#[test]
fn one_seed_gives_one_table() {
    let (one, again, other) = (report(7), report(7), report(8));
    assert_eq!(one, again);
    assert_ne!(one.digests, other.digests);
}
