//! The remains of the last write after a crash: any part of it, in any order.

use super::*;
use crate::{Extent, Fault};

/// Opens, expects `records`, and a cut or none, and that the next open finds nothing to cut.
fn check_recovers(place: &Place, records: &[Record], cut: bool) {
    let report = place.verify();
    let opened = place.open();
    assert_eq!(opened.records, records);
    assert_eq!(opened.recovery.cut, report.damage);
    assert_eq!(opened.recovery.cut.is_some(), cut, "{report:?}");
    drop(opened);
    let reopened = place.open();
    assert_eq!(reopened.records, records);
    assert_eq!(reopened.recovery.cut, None);
    assert!(place.bytes(place.last_segment()).len() as u64 >= SMALL.segment_bytes);
}

#[test]
fn a_file_ending_in_its_last_batch_is_cut_before() {
    let batches = some_batches(7);
    let place = Place::with(&batches);
    let segment = place.last_segment();
    let last = place.batches(segment).last().unwrap().clone();
    let bytes = place.bytes(segment);
    for length in last.start..bytes.len() {
        place.put(segment, &bytes[..length]);
        let whole = length >= last.end;
        let records = flatten(&batches[..if whole { 7 } else { 6 }]);
        let torn = last.start < length && !whole;
        check_recovers(&place, &records, torn);
    }
}

#[test]
fn an_earlier_segment_that_ends_early_is_refused() {
    let place = Place::with(&some_batches(7));
    let bytes = place.bytes(1);
    let used = place.batches(1).last().unwrap().end;
    for length in 0..used {
        place.put(1, &bytes[..length]);
        let damage = place.verify().damage.unwrap();
        assert_eq!(damage.extent, Extent::Middle, "{length}: {damage}");
        assert!(matches!(place.refusal(), OpenError::Damaged { .. }));
    }
    place.put(1, &bytes[..used]);
    assert_eq!(place.verify().damage, None);
}

#[test]
fn a_part_of_the_last_write_is_cut() {
    const PARTS: usize = 5;
    let kept = vec![vec![1; 20]];
    let torn = vec![vec![2; 90], vec![3; 30]];
    let place = Place::with(&[kept.clone(), torn.clone()]);
    let last = place.batches(1)[1].clone();
    let bytes = place.bytes(1);
    for written in 0..1_u32 << PARTS {
        let mut left = bytes.clone();
        for part in (0..PARTS).filter(|part| written & (1 << part) == 0) {
            let from = last.start + last.len() * part / PARTS;
            let to = last.start + last.len() * (part + 1) / PARTS;
            left[from..to].fill(0);
        }
        place.put(1, &left);
        let whole = written == (1 << PARTS) - 1;
        let records = if whole { flatten(&[kept.clone(), torn.clone()]) } else { kept.clone() };
        check_recovers(&place, &records, !whole && written != 0);
    }
}

#[test]
fn a_record_that_resembles_a_batch_is_not_one() {
    let place = Place::with(&[vec![vec![1; 8]]]);
    let mut forged = Batch::starting_at(3);
    forged.push(b"never written");
    let forged = forged.seal(place.identity().wrapping_add(1)).to_vec();
    let mut journal = place.open().journal;
    append(&mut journal, &[forged]);
    drop(journal);
    // The sector with the batch's own header did not reach the disk.
    let last = place.batches(1)[1].clone();
    let mut bytes = place.bytes(1);
    bytes[last.start..last.start + BATCH_HEADER_BYTES].fill(0);
    place.put(1, &bytes);
    check_recovers(&place, &[vec![1; 8]], true);
}

#[test]
fn a_cut_leaves_zeros_and_says_how_many_bytes_went() {
    let batches = some_batches(7);
    let place = Place::with(&batches);
    let segment = place.last_segment();
    let last = place.batches(segment).last().unwrap().clone();
    let mut bytes = place.bytes(segment);
    bytes[last.end - 1] ^= 0x80;
    place.put(segment, &bytes);
    let cut = place.open().recovery.cut.unwrap();
    assert_eq!(cut.bytes, last.len() as u64);
    assert_eq!(
        cut.to_string(),
        format!(
            "{}, byte {}: the batch of sequence {} fails its checksum ({} bytes, nothing follows them)",
            segment_name(segment),
            last.start,
            flatten(&batches[..6]).len() + 1,
            last.len(),
        )
    );
    assert!(matches!(cut.fault, Fault::BatchPayload { .. }));
    assert!(place.bytes(segment)[last.start..].iter().all(|byte| *byte == 0));
}
