//! Segments that nobody needs go from the front, and the rest can be read and continued.

use super::*;
use crate::{segments, trim};

fn starts(place: &Place) -> Vec<u64> {
    segments(&place.storage()).unwrap().iter().map(|segment| segment.first_sequence).collect()
}

#[test]
fn only_segments_wholly_below_what_is_needed_go() {
    let place = Place::with(&some_batches(12));
    let before = starts(&place);
    assert!(before.len() > 3);
    for needed in [0, 1, before[1] - 1] {
        assert_eq!(trim(&place.storage(), needed).unwrap(), 0, "{needed}");
    }
    assert_eq!(trim(&place.storage(), before[1]).unwrap(), 1);
    assert_eq!(starts(&place), before[1..]);
    assert_eq!(trim(&place.storage(), u64::MAX).unwrap(), before.len() as u64 - 2);
    assert_eq!(starts(&place), before[before.len() - 1..]);
}

#[test]
fn a_trimmed_journal_begins_late_and_goes_on() {
    let batches = some_batches(12);
    let place = Place::with(&batches);
    let second = starts(&place)[1];
    trim(&place.storage(), second).unwrap();
    let report = place.verify();
    assert_eq!((report.damage, report.contents.first_sequence), (None, Some(second)));

    let mut sequences = Vec::new();
    let (mut journal, _) = Journal::open(place.storage(), SMALL, |sequence, _| {
        sequences.push(sequence);
        Ok(())
    })
    .unwrap();
    let next = flatten(&batches).len() as u64 + 1;
    assert_eq!((sequences[0], journal.next_sequence()), (second, next));
    append(&mut journal, &[b"more".to_vec()]);
    drop(journal);
    assert_eq!(place.verify().contents.last_sequence, Some(next));
}

#[test]
fn trimming_goes_on_beside_the_writer() {
    let place = Place::new(SMALL);
    let mut journal = place.open().journal;
    for last in 1..=40 {
        append(&mut journal, &[vec![last as u8; 50]]);
        trim(&place.storage(), last).unwrap();
        assert!(starts(&place).len() <= 2);
    }
    drop(journal);
    let report = place.verify();
    assert_eq!((report.damage, report.contents.last_sequence), (None, Some(40)));
}
