//! The merit order: the provider that serves a call, and its price.

use merit_engine::{LeaseTerms, NotSent};
use merit_kit::{CALLS_PER_GB_SECOND, Floor, PRICE, code, max_cost, rung, settings, tariff};
use merit_terms::{Limits, Price, Rung, Tariff};

#[test]
fn the_cheapest_predicted_cost_wins() {
    let mut floor = Floor::new();
    floor.seller("dear", 4, 12_000_000);
    let cheap = floor.seller("cheap", 4, 10_000_000);
    let bid = floor.bid(Limits::default());
    let grant = floor.acquire(bid).unwrap();
    assert_eq!(grant.terms.provider, cheap.id);
    assert_eq!(grant.quoted_cost.picodollars(), 10_000_000 / CALLS_PER_GB_SECOND);
}

#[test]
fn the_cheapest_bill_wins_over_the_cheaper_rate() {
    let mut floor = Floor::new();
    let by_second = floor.newcomer("by-the-second", 4);
    let whole_seconds = Rung { tariff: Tariff { increment_ms: 1_000, ..tariff(8_000_000) }, ..rung(1, 0) };
    floor.quote(by_second, vec![whole_seconds]).unwrap();
    let by_millisecond = floor.seller("by-the-millisecond", 4, 10_000_000);
    assert_eq!(floor.call().provider, by_millisecond.id);
}

#[test]
fn a_full_offer_leaves_the_price_to_the_next() {
    let mut floor = Floor::new();
    let cheap = floor.seller("cheap", 1, 10_000_000);
    let dear = floor.seller("dear", 1, 12_000_000);
    assert_eq!(floor.next_price(), 10_000_000);
    let first = floor.call();
    assert_eq!((first.provider, floor.next_price()), (cheap.id, 12_000_000));
    assert_eq!(floor.call().provider, dear.id);
    floor.settle(first.lease, 100);
    assert_eq!(floor.next_price(), 10_000_000);
}

/// Returns the provider that serves the call once both have history: one at full price, the other at two thirds of it.
fn served_by(fast_ms: u64, slow_ms: u64) -> &'static str {
    let mut floor = Floor::new();
    let fast = floor.seller("fast", 8, 15_000_000);
    floor.seller("slow", 8, 10_000_000);
    for _ in 0..3 {
        floor.run_at("fast", fast_ms);
        floor.run_at("slow", slow_ms);
    }
    if floor.call().provider == fast.id { "fast" } else { "slow" }
}

#[test]
fn slow_providers_lose_computing_functions_and_keep_sleeping_ones() {
    assert_eq!(served_by(100, 200), "fast");
    assert_eq!(served_by(100, 100), "slow");
}

#[test]
fn a_newcomer_among_known_providers_gets_one_call_at_once() {
    let mut floor = Floor::new();
    let known = floor.seller("known", 8, 10_000_000);
    floor.run_at("known", 100);
    let newcomer = floor.seller("newcomer", 8, 12_000_000);
    let trial = floor.call();
    assert_eq!(trial.provider, newcomer.id, "predicted at half the others' duration");
    assert_eq!([floor.call().provider, floor.call().provider], [known.id; 2]);
    floor.release(trial.lease, NotSent::Withdrawn);
    assert_eq!(floor.call().provider, newcomer.id, "the trial taught nothing");
}

#[test]
fn a_newcomer_is_under_trial_while_any_trial_runs() {
    let mut floor = Floor::new();
    let known = floor.seller("known", 1, 10_000_000);
    floor.run_at("known", 100);
    floor.seller("newcomer", 8, 12_000_000);
    let by_known = floor.call_at("known");
    let _first = floor.call();
    let second = floor.call();
    floor.release(second.lease, NotSent::Withdrawn);
    floor.settle(by_known.lease, 100);
    assert_eq!(floor.call().provider, known.id);
}

#[test]
fn a_newcomer_serves_all_calls_that_nobody_else_can() {
    let mut floor = Floor::new();
    floor.seller("known", 1, 10_000_000);
    floor.run_at("known", 100);
    let newcomer = floor.seller("newcomer", 8, 12_000_000);
    floor.call_at("known");
    assert_eq!([floor.call().provider, floor.call().provider, floor.call().provider], [newcomer.id; 3]);
}

#[test]
fn equal_offers_take_turns_by_longest_wait() {
    let mut floor = Floor::new();
    let sellers = ["one", "two", "three"].map(|name| floor.seller(name, 8, 10_000_000).id);
    let served: Vec<_> = (0..6).map(|_| floor.call().provider).collect();
    assert_eq!(served, [sellers, sellers].concat());
}

#[test]
fn rungs_of_one_ladder_that_tie_take_one_turn() {
    let mut floor = Floor::new();
    let many = floor.newcomer("many-rungs", 8);
    floor.quote(many, vec![rung(1, 10_000_000), rung(2, 10_000_000), rung(3, 10_000_000)]).unwrap();
    let one = floor.seller("one-rung", 8, 10_000_000);
    let served: Vec<_> = (0..4).map(|_| floor.call().provider).collect();
    assert_eq!(served, [many.id, one.id, many.id, one.id]);
}

#[test]
fn of_equal_costs_the_rung_that_waits_longest_goes_first() {
    // Rounding the cost up loses a difference of a picodollar per GB-s.
    let (dearer, cheaper) = (rung(1, 10_000_002), rung(2, 10_000_001));
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 8, 90_000_000);
    floor.run_at("seller", 100);
    floor.quote(seller, vec![dearer.clone()]).unwrap();
    floor.quote(seller, vec![cheaper, dearer]).unwrap();
    let rates: Vec<_> = (0..3).map(|_| floor.call().tariff.per_gb_second.picodollars()).collect();
    assert_eq!(rates, [10_000_002, 10_000_001, 10_000_002]);
}

#[test]
fn an_offer_quoted_again_unchanged_keeps_its_place() {
    let mut floor = Floor::new();
    let first = floor.seller("first", 8, 10_000_000);
    floor.seller("second", 8, 10_000_000);
    floor.quote(first, vec![rung(1, 10_000_000)]).unwrap();
    assert_eq!(floor.call().provider, first.id);
}

#[test]
fn an_offer_quoted_with_another_size_goes_last() {
    let mut floor = Floor::new();
    let first = floor.seller("first", 8, 10_000_000);
    let second = floor.seller("second", 8, 10_000_000);
    floor.quote(first, vec![Rung { capacity_mb: 2_048, ..rung(1, 10_000_000) }]).unwrap();
    assert_eq!(floor.call().provider, second.id);
}

#[test]
fn a_lease_keeps_the_tariff_of_its_match() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 8, 10_000_000);
    let grant = floor.call();
    floor.quote(seller, vec![rung(1, 90_000_000)]).unwrap();
    assert_eq!(floor.settle(grant.lease, 100).cost.picodollars(), 10_000_000 / CALLS_PER_GB_SECOND);
}

#[test]
fn labels_asked_by_caller_and_function_must_be_granted() {
    let limits = |value: &str| Limits { labels: vec![("residency".to_owned(), value.to_owned())], ..Limits::default() };
    let mut floor = Floor::new();
    floor.seller("seller", 8, 10_000_000);
    assert!(floor.try_call(limits("eu")).is_ok());
    assert!(floor.try_call(limits("us")).is_err());
    let settings = merit_engine::FunctionSettings { limits: limits("us"), ..settings() };
    floor.put("hello", code(), settings);
    assert!(floor.try_call(Limits::default()).is_err());
}

/// Makes a call with a max cost, of a function without history, at a seller by time or at a last one that comes after
/// two such sellers.
fn cut_call(floor: &mut Floor, per_gb_second: u64, last: Tariff) -> LeaseTerms {
    for seller in ["first", "second"] {
        floor.seller(seller, 4, per_gb_second);
    }
    let seller = floor.newcomer("last", 4);
    floor.quote(seller, vec![Rung { tariff: last, ..rung(1, 0) }]).unwrap();
    floor.try_call(max_cost(50_000)).unwrap()
}

#[test]
fn a_cut_call_may_be_cheapest_where_cpu_is_billed() {
    let by_cpu = Tariff { per_cpu_ms: Price::from_picodollars(9_000), ..tariff(0) };
    let terms = cut_call(&mut Floor::new(), PRICE, by_cpu);
    assert_eq!((terms.timeout_ms, terms.hold.picodollars()), (5, 45_000), "10,000 a millisecond elsewhere, so 50,000");
}

#[test]
fn a_cut_call_may_be_affordable_at_a_dearer_offer() {
    let mut floor = Floor::new();
    floor.buyer = floor.account("poor", 40_000);
    floor.function = floor.put("hello", code(), settings());
    let terms = cut_call(&mut floor, 8_000_000, tariff(30_000_000));
    assert_eq!((terms.timeout_ms, terms.hold.picodollars()), (1, 30_000), "48,000 for 6 ms elsewhere");
}
