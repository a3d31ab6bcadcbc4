//! Predictions: learned from settlements within bounds, and forgotten again.

use merit_engine::{Bid, Candidate, Command, NotSent, Reply, Settle, Settlement, Source};
use merit_kit::{Floor, PRICE, max_cost, ran, rung, settle, tariff};
use merit_terms::{LeaseId, Limits, Money, Outcome, Price, Rung, Tariff, Usage};

/// Returns the wall time and cold start predicted at a provider, in microseconds.
fn predicted(floor: &Floor, provider: &str) -> (u64, u64) {
    let limits = Limits { only: vec![provider.parse().unwrap()], ..Limits::default() };
    let quote = floor.engine.quote(&floor.bid(limits)).unwrap();
    (quote.offers[0].wall_us, quote.offers[0].cold_us)
}

/// Returns a bid for an answer of up to 1 MB.
fn asked(floor: &Floor) -> Bid {
    Bid { answer_limit_bytes: 1_000_000, ..floor.bid(Limits::default()) }
}

/// Returns the best offer for a call.
fn best(floor: &Floor) -> Candidate {
    floor.engine.quote(&asked(floor)).unwrap().offers[0]
}

/// Makes one call at whoever is cheapest, which ends as `ends` says of its provider's name.
fn call(floor: &mut Floor, ends: impl Fn(&str) -> Settle) -> (String, Settlement) {
    let bid = asked(floor);
    let terms = floor.acquire(bid).unwrap().terms;
    let provider = floor.engine.provider(terms.provider).unwrap().name.to_string();
    let end = Settle { lease: terms.lease, ..ends(&provider) };
    match floor.apply(Command::Settle(end)) {
        Ok(Reply::Settled(settlement)) => (provider, settlement),
        other => panic!("{other:?}"),
    }
}

/// Counts the calls that a provider wins of so many.
fn won(floor: &mut Floor, provider: &str, calls: usize, ends: impl Fn(&str) -> Settle) -> usize {
    (0..calls).filter(|_| call(floor, &ends).0 == provider).count()
}

fn answered(wall_ms: u64) -> Settle {
    let lease = LeaseId { run: 0, sequence: 0 };
    Settle { observed_us: wall_ms * 1_000, reported: Some(ran(wall_ms)), ..settle(lease, wall_ms) }
}

fn unreported(wall_ms: u64) -> Settle {
    Settle { reported: None, ..answered(wall_ms) }
}

fn failed() -> Settle {
    Settle { outcome: Outcome::Exit, reported: Some(Usage::default()), ..answered(1) }
}

/// A rung with nothing but this tariff.
fn selling(tariff: Tariff) -> Vec<Rung> {
    vec![Rung { tariff, ..rung(1, 0) }]
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

#[test]
fn a_silent_seller_is_learned_by_the_brokers_clock() {
    let mut floor = Floor::new();
    floor.seller("slow", 4, PRICE);
    floor.seller("fast", 4, PRICE);
    let ends = |provider: &str| unreported(if provider == "slow" { 300 } else { 5 });
    assert!(won(&mut floor, "slow", 40, ends) <= 1);
    assert_eq!(best(&floor).source, Source::Observed);
    assert!(is_about(best(&floor).wall_us, 5_000));
}

#[test]
fn unreported_cpu_is_the_revisions_never_the_wall_time() {
    let mut floor = Floor::new();
    let waiting = floor.newcomer("waiting", 4);
    floor.quote(waiting, selling(Tariff { per_cpu_ms: Price::from_picodollars(20_000), ..tariff(0) })).unwrap();
    let (_, settlement) = call(&mut floor, |_| unreported(900));
    assert_eq!((settlement.cost, settlement.usage.cpu_us, settlement.estimated), (Money::ZERO, 0, true));
    floor.seller("measuring", 4, PRICE);
    run(&mut floor, "measuring", Usage { cpu_us: 3_000, ..ran(900) });
    let lease = floor.call_at("waiting").lease;
    let Ok(Reply::Settled(settlement)) = floor.apply(Command::Settle(Settle { lease, ..unreported(900) })) else {
        panic!("not settled")
    };
    assert_eq!((settlement.cost.picodollars(), settlement.estimated), (60_000, true));
}

#[test]
fn egress_is_predicted_by_the_mean_of_the_revision() {
    let mut floor = Floor::new();
    floor.seller("plain", 4, PRICE);
    let ends = |_: &str| Settle { egress_bytes: 200_000, ..answered(1) };
    call(&mut floor, ends);
    let egress = floor.newcomer("egress", 4);
    floor.quote(egress, selling(Tariff { per_gb_egress: Tariff::MAX_PER_GB_EGRESS, ..tariff(0) })).unwrap();
    assert_eq!(won(&mut floor, "egress", 100, ends), 0);
}

#[test]
fn a_new_revision_is_predicted_as_the_reference_call() {
    let mut floor = Floor::new();
    let egress = floor.newcomer("egress", 4);
    floor.quote(egress, selling(Tariff { per_gb_egress: Price::from_picodollars(1 << 30), ..tariff(0) })).unwrap();
    let Candidate { cost, source, wall_us, .. } = best(&floor);
    assert_eq!((cost.picodollars(), source, wall_us), (1_000, Source::Unknown, 100_000));
}

#[test]
fn a_seller_that_fails_loses_within_ten_calls() {
    for known in [false, true] {
        for per_gb_second in [0, PRICE / 3] {
            let mut floor = Floor::new();
            floor.seller("honest", 4, PRICE);
            (0..20).for_each(|_| run(&mut floor, "honest", ran(5)));
            floor.seller("hole", 4, per_gb_second);
            (0..if known { 20 } else { 0 }).for_each(|_| run(&mut floor, "hole", ran(5)));
            let ends = |provider: &str| if provider == "hole" { failed() } else { answered(5) };
            let most = if per_gb_second == 0 && known { 20 } else { 10 };
            let won = won(&mut floor, "hole", 200, ends);
            assert!(won <= most, "{won} of 200, known {known}, at {per_gb_second}");
        }
    }
}

#[test]
fn a_server_error_is_a_failure() {
    let mut floor = Floor::new();
    floor.seller("honest", 4, PRICE);
    floor.seller("erring", 4, PRICE / 2);
    let ends = |provider: &str| Settle { server_error: provider == "erring", ..answered(50) };
    assert!(won(&mut floor, "erring", 100, ends) <= 10);
}

#[test]
fn a_function_that_fails_everywhere_changes_nothing() {
    let mut floor = Floor::new();
    floor.seller("cheap", 4, PRICE);
    floor.seller("dear", 4, PRICE * 2);
    assert!(won(&mut floor, "cheap", 100, |_| failed()) >= 95);
}

#[test]
fn a_timeout_cut_by_a_max_cost_is_no_failure() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    run(&mut floor, "seller", ran(100));
    for _ in 0..10 {
        let terms = floor.try_call(max_cost(2_000_000)).unwrap();
        let end = Settle { outcome: Outcome::Timeout, ..answered(terms.timeout_ms.into()) };
        floor.apply(Command::Settle(Settle { lease: terms.lease, ..end })).unwrap();
    }
    assert_eq!(best(&floor).success_percent, 100);
}

#[test]
fn a_bait_raises_its_expected_bill_at_once() {
    let mut floor = Floor::new();
    floor.seller("honest", 4, PRICE);
    floor.seller("bait", 4, PRICE * 9 / 10);
    (0..20).for_each(|_| run(&mut floor, "honest", ran(10)));
    (0..9).for_each(|_| run(&mut floor, "bait", ran(10)));
    assert!(won(&mut floor, "bait", 50, |provider| answered(if provider == "bait" { 67 } else { 10 })) <= 2);
}

#[test]
fn paid_over_predicted_stays_near_one_for_rounded_bills() {
    let mut floor = Floor::new();
    let rounding = floor.newcomer("rounding", 4);
    floor.quote(rounding, selling(Tariff { increment_ms: 100, ..tariff(PRICE) })).unwrap();
    let (mut paid, mut predicted) = (0, 0);
    for call_number in 0..128 {
        let wall_ms = if call_number % 2 == 0 { 95 } else { 115 };
        let cost = best(&floor).cost;
        let (_, settlement) = call(&mut floor, |_| answered(wall_ms));
        if call_number >= 64 {
            (paid, predicted) = (paid + settlement.cost.picodollars(), predicted + cost.picodollars());
        }
    }
    assert!((80..=125).contains(&(paid * 100 / predicted)), "{paid} of {predicted}");
}

#[test]
fn a_gateway_error_that_was_replaced_is_a_failed_call() {
    let mut floor = Floor::new();
    floor.seller("erring", 4, PRICE);
    floor.seller("honest", 4, 2 * PRICE);
    ["erring", "honest"].iter().for_each(|provider| run(&mut floor, provider, ran(100)));
    for _ in 0..6 {
        let lease = floor.call_at("erring").lease;
        floor.release(lease, NotSent::Replaced);
    }
    assert!(best(&floor).price.picodollars() > PRICE * 3 / 2, "the honest one");
}
