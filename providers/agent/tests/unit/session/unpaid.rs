//! Claims of runs that nobody settles.

use super::*;

const USAGE: Usage = Usage { wall_us: 9, cpu_us: 8, cold_us: 7, egress_bytes: 0 };

fn lease(sequence: u64) -> LeaseId {
    LeaseId { run: 1, sequence }
}

fn proof(sequence: u64) -> v1::LeaseProof {
    v1::LeaseProof { terms: vec![sequence as u8], mac: Vec::new() }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn unpaid(sequences: std::ops::RangeInclusive<u64>) -> Unpaid {
    let mut unpaid = Unpaid::default();
    sequences.for_each(|sequence| unpaid.ran(s(sequence), lease(sequence), USAGE, proof(sequence)));
    unpaid
}

fn claimed(unpaid: &mut Unpaid, now: Duration) -> Vec<u8> {
    unpaid.claims(now).iter().map(|claim| claim.proof.as_ref().unwrap().terms[0]).collect()
}

#[test]
fn an_unsettled_run_is_claimed_after_a_while_and_again() {
    let mut unpaid = unpaid(1..=3);
    assert_eq!(unpaid.due(), Some(s(31)));
    assert_eq!(claimed(&mut unpaid, s(30)), [0_u8; 0]);
    assert_eq!(claimed(&mut unpaid, s(32)), [1, 2]);
    assert_eq!(claimed(&mut unpaid, s(33)), [3]);
    assert_eq!(claimed(&mut unpaid, s(62)), [1, 2]);
    assert_eq!(unpaid.claims(s(63))[0].usage, Some((&USAGE).into()));
}

#[test]
fn a_settled_run_is_not_claimed() {
    let mut unpaid = unpaid(1..=3);
    unpaid.over(lease(2));
    unpaid.over(lease(9));
    assert_eq!(claimed(&mut unpaid, s(60)), [1, 3]);
    unpaid.keep(&BTreeSet::from([lease(3), lease(9)]));
    assert_eq!(claimed(&mut unpaid, s(90)), [3]);
}

#[test]
fn a_run_with_a_lost_answer_is_claimed_at_once() {
    let mut unpaid = unpaid(1..=2);
    unpaid.unanswered(s(3), lease(2));
    unpaid.unanswered(s(3), lease(9));
    assert_eq!(unpaid.due(), Some(s(3)));
    assert_eq!(claimed(&mut unpaid, s(3)), [2]);
    assert_eq!(unpaid.due(), Some(s(31)));
}

#[test]
fn the_memory_of_runs_is_bounded() {
    let unpaid = unpaid(1..=REMEMBERED_MAX as u64 + 2);
    assert_eq!((unpaid.runs.len(), unpaid.due.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    assert_eq!(unpaid.due(), Some(s(33)));
}
