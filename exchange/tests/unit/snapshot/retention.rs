//! The retention rule of snapshots and segments.

use super::*;

/// Segments that begin at these sequences.
fn segments(first: &[u64]) -> Vec<SegmentStart> {
    (1..).zip(first).map(|(number, first)| SegmentStart { number, first_sequence: *first, identity: 7 }).collect()
}

fn check(snapshots: &[u64], first: &[u64], checkpoint: u64, removed: &[u64], journal_before: u64) {
    let found = surplus(snapshots, &segments(first), checkpoint);
    assert_eq!(found, Surplus { snapshots: removed.to_vec(), journal_before });
}

const TEN: [u64; 10] = [1, 100, 200, 300, 400, 500, 600, 700, 800, 900];

#[test]
fn nothing_goes_before_there_are_two_snapshots() {
    check(&[], &TEN, u64::MAX, &[], 0);
    check(&[950], &TEN, u64::MAX, &[], 0);
}

#[test]
fn nothing_goes_before_a_snapshot_reaches_back_far_enough() {
    check(&[250, 950], &TEN, u64::MAX, &[], 0);
    check(&[50, 60, 70, 80], &[1], u64::MAX, &[], 0);
}

#[test]
fn the_journal_is_kept_from_before_the_last_segments() {
    check(&[120, 950], &TEN, u64::MAX, &[], 121);
    check(&[120, 199, 950, 960], &TEN, u64::MAX, &[120], 200);
}

#[test]
fn the_first_snapshot_of_each_later_segment_stays() {
    check(&[199, 210, 220, 350, 360, 399, 950, 960, 970], &TEN, u64::MAX, &[220, 360, 399], 200);
}

#[test]
fn a_projection_behind_keeps_snapshot_and_journal() {
    check(&[50, 120, 199, 950, 960], &TEN, 130, &[50, 199], 121);
    check(&[50, 120, 199, 950, 960], &TEN, 49, &[], 0);
}

#[test]
fn the_older_of_the_newest_two_keeps_its_tail() {
    check(&[20, 40, 150], &TEN, u64::MAX, &[20], 41);
}
