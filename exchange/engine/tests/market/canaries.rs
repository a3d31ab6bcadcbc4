//! Aliases that send a share of their calls to a second revision.

use merit_engine::{Bid, Canary, Command, Qualifier};
use merit_terms::{LeaseId, Limits, Refusal};

use crate::floor::{Floor, PRICE, code, name, settings};

impl Floor {
    /// Revisions 1 to 3 of the function.
    fn revisions(&mut self) {
        for memory_mb in [512, 256] {
            self.put("hello", merit_engine::Code { memory_mb, ..code() }, settings());
        }
    }

    fn put_alias(&mut self, alias: &str, revision: u32, canary: Option<(u32, u32)>) -> Result<(), Refusal> {
        let canary = canary.map(|(revision, weight)| Canary { revision, weight });
        let put = Command::PutAlias { function: self.function, alias: name(alias), revision, canary };
        self.apply(put).map(drop)
    }

    /// The revisions of so many calls through an alias.
    fn drawn(&mut self, calls: u32, qualifier: &Qualifier) -> Vec<u32> {
        let mut drawn = Vec::new();
        for _ in 0..calls {
            let bid = Bid { qualifier: qualifier.clone(), ..self.bid(Limits::default()) };
            let granted = self.acquire(bid).unwrap().terms;
            self.settle(granted.lease, 1);
            drawn.push(granted.revision);
        }
        drawn
    }

    /// How many of so many calls each of the first three revisions ran.
    fn shares(&mut self, calls: u32, alias: &str) -> [usize; 3] {
        let drawn = self.drawn(calls, &Qualifier::Alias(name(alias)));
        [1, 2, 3].map(|revision| drawn.iter().filter(|drawn| **drawn == revision).count())
    }
}

#[test]
#[allow(clippy::disallowed_types, reason = "a bound of a test's statistics")]
fn a_canary_gets_its_share_of_the_calls() {
    for weight in [1, 100, 333, 500, 999] {
        let mut floor = Floor::new();
        floor.seller("seller", 4, 1);
        floor.revisions();
        floor.put_alias("prod", 2, Some((3, weight))).unwrap();
        let [others, of_alias, of_canary] = floor.shares(10_000, "prod");
        let (expected, off) = (10 * i64::from(weight), of_canary as i64 - 10 * i64::from(weight));
        // Within four standard deviations of independent draws.
        let bound = (4.0 * (expected as f64 * (1.0 - f64::from(weight) / 1_000.0)).sqrt()) as i64 + 1;
        assert!(off.abs() <= bound, "{weight}: {of_canary} calls, {expected} expected");
        assert_eq!((others, of_alias + of_canary), (0, 10_000));
    }
}

#[test]
fn no_weight_is_no_call_and_the_whole_weight_is_every_call() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    floor.revisions();
    floor.put_alias("prod", 2, Some((3, 0))).unwrap();
    assert_eq!(floor.shares(100, "prod"), [0, 100, 0]);
    floor.put_alias("prod", 2, Some((3, 1_000))).unwrap();
    assert_eq!(floor.shares(100, "prod"), [0, 0, 100]);
    let numbered = floor.drawn(10, &Qualifier::Revision(1));
    assert_eq!(numbered, [1; 10]);
}

#[test]
fn live_may_have_a_canary_by_either_name() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    floor.revisions();
    floor.put_alias("live", 1, Some((2, 1_000))).unwrap();
    assert_eq!(floor.drawn(1, &Qualifier::Live), [2]);
    assert_eq!(floor.drawn(1, &Qualifier::Alias(name("live"))), [2]);
    let function = floor.engine.function(floor.function).unwrap();
    assert_eq!(function.resolve(&Qualifier::Live), Ok(1), "what it points at is said apart from shares");
}

#[test]
fn all_attempts_of_an_invocation_keep_the_revision_of_the_first() {
    let mut floor = Floor::new();
    floor.seller("one", 4, PRICE);
    floor.seller("two", 4, PRICE);
    floor.revisions();
    floor.put_alias("live", 2, Some((3, 500))).unwrap();
    let mut drawn = [0; 4];
    for _ in 0..200 {
        let first = floor.call();
        floor.settle(first.lease, 1); // What became of the first does not matter.
        let other = floor.call(); // Nor does what came between.
        floor.settle(other.lease, 1);
        let again = floor.call_again(&first, Limits::default()).unwrap();
        assert_eq!(again.revision, first.revision);
        floor.settle(again.lease, 1);
        drawn[first.revision as usize] += 1;
    }
    assert!(drawn[2] > 50 && drawn[3] > 50, "{drawn:?}");
    // An invocation of a former run is told by its number as well.
    let invocation = Some(LeaseId { run: 0, sequence: 12_345 });
    let of = |floor: &mut Floor| {
        let bid = Bid { invocation, ..floor.bid(Limits::default()) };
        floor.acquire(bid).unwrap().terms.revision
    };
    assert_eq!(of(&mut floor), of(&mut floor));
}

#[test]
fn a_quote_is_of_the_revision_that_the_next_call_runs() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    floor.revisions();
    floor.put_alias("live", 2, Some((3, 500))).unwrap();
    for _ in 0..50 {
        let quoted = floor.engine.quote(&floor.bid(Limits::default())).unwrap().revision;
        let granted = floor.call();
        assert_eq!(quoted, granted.revision);
        floor.settle(granted.lease, 1);
    }
}

#[test]
fn an_alias_put_again_or_with_its_function_deleted_loses_its_canary() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    floor.revisions();
    let canary = |floor: &Floor| floor.engine.function(floor.function).unwrap().canaries.get(&name("prod")).copied();
    floor.put_alias("prod", 2, Some((3, 1_000))).unwrap();
    assert_eq!(canary(&floor), Some(Canary { revision: 3, weight: 1_000 }));
    let with_canary = floor.engine.digest();
    floor.put_alias("prod", 2, Some((3, 999))).unwrap();
    assert_ne!(floor.engine.digest(), with_canary);
    floor.put_alias("prod", 2, None).unwrap();
    assert_eq!((canary(&floor), floor.shares(10, "prod")), (None, [0, 10, 0]));

    floor.put_alias("prod", 2, Some((3, 1_000))).unwrap();
    floor.apply(Command::DeleteFunction { function: floor.function }).unwrap();
    floor.put("hello", code(), settings());
    assert_eq!(canary(&floor), None);
    floor.put_alias("prod", 1, None).unwrap();
    assert_eq!(floor.shares(10, "prod"), [10, 0, 0]);
}

#[test]
fn a_canary_that_cannot_be_is_refused_and_changes_nothing() {
    let mut floor = Floor::new();
    floor.revisions();
    floor.put_alias("prod", 2, Some((3, 100))).unwrap();
    let before = floor.engine.digest();
    for (revision, canary) in [(1, (1, 100)), (1, (2, 1_001)), (1, (4, 100)), (1, (0, 100)), (4, (1, 100))] {
        floor.put_alias("prod", revision, Some(canary)).unwrap_err();
    }
    assert_eq!(floor.engine.digest(), before);
}
