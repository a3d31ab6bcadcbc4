//! Segments that are missing, foreign, unfinished, or of another format version.

use super::*;
use crate::format::FORMAT_VERSION;
use crate::{Extent, Fault};

use crc32c::crc32c;

fn check_refused(place: &Place, number: u32, fault: Fault) {
    let damage = place.verify().damage.unwrap();
    assert_eq!(damage.file, segment_name(number));
    assert_eq!((damage.fault, damage.extent), (fault, Extent::Middle));
    assert!(matches!(place.refusal(), OpenError::Damaged { .. }));
}

/// Checks that a newest segment without a header, as a crash at its creation could leave it, is made anew.
fn check_remade(contents: &[u8]) {
    let batches = some_batches(7);
    let place = Place::with(&batches);
    let number = place.last_segment() + 1;
    place.put(number, contents);
    let opened = place.open();
    assert_eq!(opened.records, flatten(&batches));
    let cut = opened.recovery.cut.unwrap();
    assert_eq!(cut.fault, Fault::SegmentHeader);
    assert_eq!((cut.file, cut.position), (segment_name(number), 0));
    let mut journal = opened.journal;
    append(&mut journal, &[b"more".to_vec()]);
    drop(journal);
    let reopened = place.open();
    assert_eq!(reopened.recovery.cut, None);
    assert_eq!(reopened.records.last().unwrap(), b"more");
    assert_eq!(place.last_segment(), number);
}

#[test]
fn a_newest_segment_without_a_header_is_made_anew() {
    check_remade(&[]);
    check_remade(&[0; 10]);
    check_remade(&[0; 240]);
    check_remade(b"MERITJNL\x03\0\0\0");
    check_remade(&[0xff; SEGMENT_HEADER_BYTES]);
}

#[test]
fn an_only_segment_without_a_header_begins_the_journal() {
    let place = Place::new(SMALL);
    place.put(1, &[]);
    let opened = place.open();
    assert_eq!(opened.recovery.cut.unwrap().fault, Fault::SegmentHeader);
    assert_eq!(opened.journal.next_sequence(), 1);
    drop(opened.journal);
    assert_eq!(place.open().recovery.cut, None);
}

#[test]
fn a_newest_segment_with_bytes_and_no_header_is_refused() {
    let place = Place::with(&some_batches(7));
    let number = place.last_segment();
    let mut bytes = place.bytes(number);
    bytes[..SEGMENT_HEADER_BYTES].fill(0);
    place.put(number, &bytes);
    check_refused(&place, number, Fault::SegmentHeader);
}

#[test]
fn a_first_segment_above_1_without_a_header_is_refused() {
    let place = Place::new(SMALL);
    place.put(4, &[]);
    check_refused(&place, 4, Fault::SegmentHeader);
}

#[test]
fn an_unfinished_segment_is_removed() {
    let batches = some_batches(7);
    let place = Place::with(&batches);
    let unfinished = place.directory.path().join(format!("{}.new", segment_name(place.last_segment() + 1)));
    fs::write(&unfinished, b"anything").unwrap();
    let opened = place.open();
    assert_eq!(opened.recovery.cut, None);
    assert_eq!(opened.records, flatten(&batches));
    assert!(!unfinished.exists());
}

#[test]
fn a_missing_segment_is_refused() {
    let place = Place::with(&some_batches(7));
    fs::remove_file(place.path(2)).unwrap();
    check_refused(&place, 2, Fault::SegmentMissing);
}

#[test]
fn a_journal_may_begin_after_the_segments_that_were_trimmed() {
    let place = Place::with(&some_batches(7));
    let trimmed = place.verify().contents;
    fs::remove_file(place.path(1)).unwrap();
    let contents = place.verify().contents;
    assert!(contents.first_sequence > trimmed.first_sequence);
    assert_eq!(contents.last_sequence, trimmed.last_sequence);
    assert_eq!(place.verify().damage, None);
}

#[test]
fn a_segment_under_another_number_is_refused() {
    let place = Place::with(&some_batches(7));
    let next = place.last_segment() + 1;
    place.put(next, &place.bytes(2));
    check_refused(&place, next, Fault::SegmentNumber { found: 2 });
}

#[test]
fn a_segment_of_another_journal_is_refused() {
    let place = Place::with(&some_batches(7));
    let other = Place::with(&some_batches(7));
    assert_ne!(place.identity(), other.identity());
    place.put(2, &other.bytes(2));
    check_refused(&place, 2, Fault::OtherJournal);
}

#[test]
fn a_first_sequence_of_0_is_refused() {
    let place = Place::new(SMALL);
    place.put(4, &SegmentHeader { identity: 7, first_sequence: 0, number: 4 }.encode());
    check_refused(&place, 4, Fault::Sequence { expected: 1, found: 0 });
}

#[test]
fn a_segment_with_the_wrong_first_sequence_is_refused() {
    let place = Place::with(&some_batches(7));
    let number = place.last_segment() + 1;
    let expected = place.verify().contents.last_sequence.unwrap() + 1;
    let header = SegmentHeader { identity: place.identity(), first_sequence: expected + 1, number };
    place.put(number, &header.encode());
    check_refused(&place, number, Fault::Sequence { expected, found: expected + 1 });
}

#[test]
fn a_segment_of_another_format_version_is_refused() {
    let place = Place::with(&some_batches(7));
    let (older, newer) = ("it is from before the first release", "start the merit release that wrote it");
    for (found, way_out) in [(1, older), (FORMAT_VERSION - 1, older), (FORMAT_VERSION + 1, newer)] {
        for number in 1..=place.last_segment() {
            let sound = place.bytes(number);
            let mut bytes = sound.clone();
            bytes[8..12].copy_from_slice(&found.to_le_bytes());
            let checksum = crc32c(&bytes[..28]);
            bytes[28..32].copy_from_slice(&checksum.to_le_bytes());
            place.put(number, &bytes);
            check_refused(&place, number, Fault::OtherVersion { found });
            let text = place.refusal().to_string();
            let what = format!("has format {found}, and this merit reads format {FORMAT_VERSION} alone");
            for part in ["is not for this merit", &what, "Nothing was changed", way_out] {
                assert!(text.contains(part), "{part:?} is not in {text:?}");
            }
            place.put(number, &sound);
        }
    }
}

#[test]
fn other_files_in_the_directory_are_left_alone() {
    let batches = some_batches(3);
    let place = Place::with(&batches);
    for name in ["journal-2.segment", "journal-0000000002.segment.old", "notes"] {
        fs::write(place.directory.path().join(name), b"mine").unwrap();
    }
    assert_eq!(place.open().records, flatten(&batches));
    for name in ["journal-2.segment", "journal-0000000002.segment.old", "notes"] {
        assert_eq!(fs::read(place.directory.path().join(name)).unwrap(), b"mine");
    }
}
