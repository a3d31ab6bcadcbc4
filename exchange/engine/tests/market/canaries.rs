//! Aliases that send a share of their calls to a second revision.

use merit_engine::{Bid, Canary, Command, Qualifier};
use merit_kit::{Floor, PRICE, code, name, settings};
use merit_terms::{LeaseId, Limits, Refusal};

/// Defines revisions 1 to 3 of the function.
fn revisions(floor: &mut Floor) {
    for memory_mb in [512, 256] {
        floor.put("hello", merit_engine::Code { memory_mb, ..code() }, settings());
    }
}

fn put_alias(floor: &mut Floor, alias: &str, revision: u32, canary: Option<(u32, u32)>) -> Result<(), Refusal> {
    let canary = canary.map(|(revision, weight)| Canary { revision, weight });
    let put = Command::PutAlias { function: floor.function, alias: name(alias), revision, canary };
    floor.apply(put).map(drop)
}

/// Returns the revisions of this many calls through an alias.
fn drawn(floor: &mut Floor, calls: u32, qualifier: &Qualifier) -> Vec<u32> {
    let mut drawn = Vec::new();
    for _ in 0..calls {
        let bid = Bid { qualifier: qualifier.clone(), ..floor.bid(Limits::default()) };
        let granted = floor.acquire(bid).unwrap().terms;
        floor.settle(granted.lease, 1);
        drawn.push(granted.revision);
    }
    drawn
}

/// Returns the number of these calls that each of the first three revisions ran.
fn shares(floor: &mut Floor, calls: u32, alias: &str) -> [usize; 3] {
    let drawn = drawn(floor, calls, &Qualifier::Alias(name(alias)));
    [1, 2, 3].map(|revision| drawn.iter().filter(|drawn| **drawn == revision).count())
}

#[test]
#[allow(clippy::disallowed_types, reason = "a bound of a test's statistics")]
fn a_canary_gets_its_share_of_the_calls() {
    for weight in [1, 100, 333, 500, 999] {
        let mut floor = Floor::new();
        floor.seller("seller", 4, 1);
        revisions(&mut floor);
        put_alias(&mut floor, "prod", 2, Some((3, weight))).unwrap();
        let [others, of_alias, of_canary] = shares(&mut floor, 10_000, "prod");
        let (expected, off) = (10 * i64::from(weight), of_canary as i64 - 10 * i64::from(weight));
        // Four standard deviations of independent draws.
        let bound = (4.0 * (expected as f64 * (1.0 - f64::from(weight) / 1_000.0)).sqrt()) as i64 + 1;
        assert!(off.abs() <= bound, "{weight}: {of_canary} calls, {expected} expected");
        assert_eq!((others, of_alias + of_canary), (0, 10_000));
    }
}

#[test]
fn weight_0_gets_no_call_and_weight_1000_every_call() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    revisions(&mut floor);
    put_alias(&mut floor, "prod", 2, Some((3, 0))).unwrap();
    assert_eq!(shares(&mut floor, 100, "prod"), [0, 100, 0]);
    put_alias(&mut floor, "prod", 2, Some((3, 1_000))).unwrap();
    assert_eq!(shares(&mut floor, 100, "prod"), [0, 0, 100]);
    let numbered = drawn(&mut floor, 10, &Qualifier::Revision(1));
    assert_eq!(numbered, [1; 10]);
}

#[test]
fn live_may_have_a_canary_by_either_name() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    revisions(&mut floor);
    put_alias(&mut floor, "live", 1, Some((2, 1_000))).unwrap();
    assert_eq!(drawn(&mut floor, 1, &Qualifier::Live), [2]);
    assert_eq!(drawn(&mut floor, 1, &Qualifier::Alias(name("live"))), [2]);
    let function = floor.engine.function(floor.function).unwrap();
    assert_eq!(function.resolve(&Qualifier::Live), Ok(1), "what it points at is said apart from shares");
}

#[test]
fn all_attempts_of_an_invocation_keep_the_first_revision() {
    let mut floor = Floor::new();
    floor.seller("one", 4, PRICE);
    floor.seller("two", 4, PRICE);
    revisions(&mut floor);
    put_alias(&mut floor, "live", 2, Some((3, 500))).unwrap();
    let mut drawn = [0; 4];
    for _ in 0..200 {
        let first = floor.call();
        floor.settle(first.lease, 1); // The end of the first does not matter, nor calls in between.
        let other = floor.call();
        floor.settle(other.lease, 1);
        let again = floor.call_again(&first, Limits::default()).unwrap();
        assert_eq!(again.revision, first.revision);
        floor.settle(again.lease, 1);
        drawn[first.revision as usize] += 1;
    }
    assert!(drawn[2] > 50 && drawn[3] > 50, "{drawn:?}");
    // An invocation of a former run has its revision by its number as well.
    let invocation = Some(LeaseId { run: 0, sequence: 12_345 });
    let of = |floor: &mut Floor| {
        let bid = Bid { invocation, ..floor.bid(Limits::default()) };
        floor.acquire(bid).unwrap().terms.revision
    };
    assert_eq!(of(&mut floor), of(&mut floor));
}

#[test]
fn a_quote_names_the_revision_of_the_next_call() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    revisions(&mut floor);
    put_alias(&mut floor, "live", 2, Some((3, 500))).unwrap();
    for _ in 0..50 {
        let quoted = floor.engine.quote(&floor.bid(Limits::default())).unwrap().revision;
        let granted = floor.call();
        assert_eq!(quoted, granted.revision);
        floor.settle(granted.lease, 1);
    }
}

#[test]
fn a_replaced_or_deleted_alias_loses_its_canary() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    revisions(&mut floor);
    let canary = |floor: &Floor| floor.engine.function(floor.function).unwrap().canaries.get(&name("prod")).copied();
    put_alias(&mut floor, "prod", 2, Some((3, 1_000))).unwrap();
    assert_eq!(canary(&floor), Some(Canary { revision: 3, weight: 1_000 }));
    let with_canary = floor.engine.digest();
    put_alias(&mut floor, "prod", 2, Some((3, 999))).unwrap();
    assert_ne!(floor.engine.digest(), with_canary);
    put_alias(&mut floor, "prod", 2, None).unwrap();
    assert_eq!((canary(&floor), shares(&mut floor, 10, "prod")), (None, [0, 10, 0]));

    put_alias(&mut floor, "prod", 2, Some((3, 1_000))).unwrap();
    floor.apply(Command::DeleteFunction { function: floor.function }).unwrap();
    floor.put("hello", code(), settings());
    assert_eq!(canary(&floor), None);
    put_alias(&mut floor, "prod", 1, None).unwrap();
    assert_eq!(shares(&mut floor, 10, "prod"), [10, 0, 0]);
}

#[test]
fn a_canary_that_cannot_be_is_refused_and_changes_nothing() {
    let mut floor = Floor::new();
    revisions(&mut floor);
    put_alias(&mut floor, "prod", 2, Some((3, 100))).unwrap();
    let before = floor.engine.digest();
    for (revision, canary) in [(1, (1, 100)), (1, (2, 1_001)), (1, (4, 100)), (1, (0, 100)), (4, (1, 100))] {
        put_alias(&mut floor, "prod", revision, Some(canary)).unwrap_err();
    }
    assert_eq!(floor.engine.digest(), before);
}
