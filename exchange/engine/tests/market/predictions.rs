//! Predictions: learned from settlements within bounds, and forgotten again.

use merit_engine::{Command, Settle};
use merit_kit::{Floor, PRICE, ran, settle};
use merit_terms::{Limits, Usage};

/// Returns the wall time and cold start predicted at a provider, in microseconds.
fn predicted(floor: &Floor, provider: &str) -> (u64, u64) {
    let limits = Limits { only: vec![provider.parse().unwrap()], ..Limits::default() };
    let quote = floor.engine.quote(&floor.bid(limits)).unwrap();
    (quote.offers[0].wall_us, quote.offers[0].cold_us)
}

fn run(floor: &mut Floor, provider: &str, usage: Usage) {
    let lease = floor.call_at(provider).lease;
    let observed_us = usage.wall_us + usage.cold_us;
    floor.apply(Command::Settle(Settle { reported: Some(usage), observed_us, ..settle(lease, 0) })).unwrap();
}

/// Returns whether the two are within a step of predictions, 1/32 of an octave.
fn is_about(predicted_us: u64, expected_us: u64) -> bool {
    predicted_us.abs_diff(expected_us) * 64 <= expected_us + 64
}

#[test]
fn one_outlier_counts_at_most_an_octave() {
    for (outlier_ms, expected_us) in [(900, 141_421), (1, 70_711), (120, 109_545)] {
        let mut floor = Floor::new();
        floor.seller("seller", 4, PRICE);
        run(&mut floor, "seller", ran(100));
        run(&mut floor, "seller", ran(outlier_ms));
        let (wall_us, _) = predicted(&floor, "seller");
        assert!(is_about(wall_us, expected_us), "{outlier_ms} ms: {wall_us}");
    }
}

#[test]
fn a_cold_start_is_predicted_by_its_mean_as_latency() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    for cold_us in [64_000, 0] {
        run(&mut floor, "seller", Usage { cold_us, ..ran(100) });
    }
    let (_, cold_us) = predicted(&floor, "seller");
    assert!(is_about(cold_us, 32_000), "{cold_us}");
    let within = |ms| Limits { max_latency_ms: Some(ms), ..Limits::default() };
    assert!(floor.try_call(within(120)).is_err());
    assert!(floor.try_call(within(140)).is_ok());
}

#[test]
fn a_newcomer_has_no_cold_start() {
    let mut floor = Floor::new();
    floor.seller("known", 4, PRICE);
    run(&mut floor, "known", Usage { cold_us: 64_000, ..ran(100) });
    floor.seller("newcomer", 4, PRICE);
    assert_eq!(predicted(&floor, "newcomer").1, 0);
}

#[test]
fn an_untouched_estimate_moves_half_way_to_the_others() {
    let mut floor = Floor::new();
    floor.seller("stale", 4, PRICE);
    floor.seller("fresh", 4, PRICE);
    run(&mut floor, "stale", ran(400));
    run(&mut floor, "fresh", ran(100));
    floor.wait_s(599);
    run(&mut floor, "fresh", ran(100));
    assert!(is_about(predicted(&floor, "stale").0, 400_000));
    floor.wait_s(1);
    run(&mut floor, "fresh", ran(100));
    assert!(is_about(predicted(&floor, "stale").0, 200_000), "{:?}", predicted(&floor, "stale"));
    for _ in 0..20 {
        floor.wait_s(600);
        run(&mut floor, "fresh", ran(100));
    }
    let (wall_us, _) = predicted(&floor, "stale");
    assert!(wall_us >= 100_000 - 3_200 && is_about(wall_us, 100_000), "{wall_us}");
}

#[test]
fn cpu_time_counts_up_to_what_the_vcpus_give() {
    let mut floor = Floor::new();
    floor.seller("honest", 4, PRICE);
    floor.seller("boaster", 4, PRICE);
    run(&mut floor, "honest", ran(100));
    run(&mut floor, "boaster", Usage { cpu_us: u64::MAX, ..ran(100) });
    let quote = floor.engine.quote(&floor.bid(Limits::default())).unwrap();
    assert_eq!(quote.offers[0].cost, quote.offers[1].cost);
}
