//! A changed byte anywhere is found: the last batch is cut, anything earlier is refused.

use super::*;
use crate::{Damage, Extent, Fault};

/// The required outcome of a change of one byte.
#[derive(Debug, PartialEq)]
enum Outcome {
    Refused,
    /// Cut from this position of the last segment, with this many records left.
    Cut {
        position: usize,
        records: usize,
    },
}

struct Subject {
    place: Place,
    records: Vec<Record>,
    last_segment: u32,
    last_batch: Range<usize>,
    before_last_batch: usize,
}

impl Subject {
    fn new() -> Self {
        let batches = some_batches(7);
        let place = Place::with(&batches);
        let last_segment = place.last_segment();
        assert!(last_segment >= 3);
        assert!(place.batches(last_segment).len() >= 2);
        Self {
            records: flatten(&batches),
            last_batch: place.batches(last_segment).last().unwrap().clone(),
            before_last_batch: flatten(&batches[..6]).len(),
            last_segment,
            place,
        }
    }

    fn expected(&self, segment: u32, position: usize) -> Outcome {
        if segment != self.last_segment || position < self.last_batch.start {
            Outcome::Refused
        } else if position < self.last_batch.end {
            Outcome::Cut { position: self.last_batch.start, records: self.before_last_batch }
        } else {
            Outcome::Cut { position: self.last_batch.end, records: self.records.len() }
        }
    }

    fn outcome_of(&self, damage: &Damage, records: &[Record]) -> Outcome {
        assert_eq!(*records, self.records[..records.len()]);
        match damage.extent {
            Extent::Middle => Outcome::Refused,
            Extent::Tail => {
                assert_eq!(damage.file, segment_name(self.last_segment));
                Outcome::Cut { position: damage.position as usize, records: records.len() }
            }
        }
    }

    fn verify_after_change(&self, segment: u32, position: usize, mask: u8) {
        let mut bytes = self.place.bytes(segment);
        bytes[position] ^= mask;
        self.place.put(segment, &bytes);
        let (report, records) = self.place.read();
        let damage =
            report.damage.unwrap_or_else(|| panic!("segment {segment}, byte {position}, mask {mask}: not found"));
        assert_eq!(
            self.outcome_of(&damage, &records),
            self.expected(segment, position),
            "segment {segment}, byte {position}, mask {mask}: {damage}"
        );
        assert_eq!(self.place.bytes(segment), bytes, "verify changed the file");
        bytes[position] ^= mask;
        self.place.put(segment, &bytes);
    }

    fn open_after_change(&self, segment: u32, position: usize, mask: u8) {
        let sound = self.place.bytes(segment);
        let mut bytes = sound.clone();
        bytes[position] ^= mask;
        self.place.put(segment, &bytes);
        let (result, records) = self.place.try_open();
        let expected = self.expected(segment, position);
        match result {
            Err(OpenError::Damaged { damage, place }) => {
                assert_eq!(self.outcome_of(&damage, &records), expected);
                assert_eq!(place, self.place.storage().to_string());
                assert_eq!(self.place.bytes(segment), bytes, "a refused open changed the file");
            }
            Err(other) => panic!("segment {segment}, byte {position}: {other}"),
            Ok((mut journal, recovery)) => {
                let damage = recovery.cut.unwrap();
                assert_eq!(self.outcome_of(&damage, &records), expected);
                append(&mut journal, &[b"after the cut".to_vec()]);
                drop(journal);
                let reopened = self.place.open();
                assert_eq!(reopened.recovery.cut, None);
                assert_eq!(reopened.records[..records.len()], records);
                assert_eq!(reopened.records[records.len()..], [b"after the cut"]);
            }
        }
        self.place.put(segment, &sound);
        // Appending after the cut may have begun another segment.
        if self.place.last_segment() > self.last_segment {
            fs::remove_file(self.place.path(self.place.last_segment())).unwrap();
        }
    }

    fn each_byte(&self, check: impl Fn(u32, usize)) {
        for segment in 1..=self.last_segment {
            for position in 0..self.place.bytes(segment).len() {
                check(segment, position);
            }
        }
        assert_eq!(self.place.read(), (self.place.verify(), self.records.clone()));
        assert_eq!(self.place.verify().damage, None);
    }
}

#[test]
fn every_flipped_bit_is_found_by_verify_and_judged_right() {
    let subject = Subject::new();
    subject.each_byte(|segment, position| {
        for bit in 0..8 {
            subject.verify_after_change(segment, position, 1 << bit);
        }
        subject.verify_after_change(segment, position, 0xff);
    });
}

#[test]
fn a_flipped_byte_is_refused_or_cut() {
    let subject = Subject::new();
    subject.each_byte(|segment, position| {
        subject.open_after_change(segment, position, 1 << (position % 8));
    });
}

#[test]
fn a_hole_of_zeros_before_a_later_batch_is_refused() {
    let place = Place::with(&some_batches(7));
    let segment = place.last_segment();
    let hole = place.batches(segment)[0].clone();
    let mut bytes = place.bytes(segment);
    bytes[hole.clone()].fill(0);
    place.put(segment, &bytes);
    let damage = place.verify().damage.unwrap();
    assert_eq!(damage.fault, Fault::BytesAfterEnd);
    assert_eq!(damage.extent, Extent::Middle);
    assert_eq!(damage.position, hole.start as u64);
    assert!(matches!(place.refusal(), OpenError::Damaged { .. }));
}

#[test]
fn a_damaged_batch_before_remains_of_another_is_refused() {
    let place = Place::with(&some_batches(7));
    let segment = place.last_segment();
    let batches = place.batches(segment);
    let [.., durable, last] = batches.as_slice() else {
        panic!("two batches in the last segment");
    };
    let mut bytes = place.bytes(segment);
    bytes[durable.end - 1] ^= 1;
    // Of the last batch only one byte of the payload reached the disk.
    bytes[last.start..last.end - 1].fill(0);
    place.put(segment, &bytes);
    let damage = place.verify().damage.unwrap();
    assert_eq!(damage.position, durable.start as u64);
    assert_eq!(damage.extent, Extent::Middle);
}

#[test]
fn a_batch_written_twice_or_left_out_is_refused() {
    check_sequence_of_the_third_batch(2);
    check_sequence_of_the_third_batch(4);
}

fn check_sequence_of_the_third_batch(found: u64) {
    let one = || vec![vec![9; 5]];
    let place = Place::with(&[one(), one()]);
    let mut third = Batch::starting_at(found);
    third.push(b"third");
    let sealed = third.seal(place.identity()).to_vec();
    let end = place.batches(1).last().unwrap().end;
    let mut bytes = place.bytes(1);
    bytes[end..end + sealed.len()].copy_from_slice(&sealed);
    place.put(1, &bytes);
    let damage = place.verify().damage.unwrap();
    assert_eq!(damage.fault, Fault::Sequence { expected: 3, found });
    assert_eq!(damage.extent, Extent::Middle);
    assert!(matches!(place.refusal(), OpenError::Damaged { .. }));
}

#[test]
fn the_refusal_names_file_position_fault_and_way_out() {
    let place = Place::with(&some_batches(7));
    let mut bytes = place.bytes(1);
    let first = place.batches(1)[0].clone();
    bytes[first.end - 1] ^= 1;
    place.put(1, &bytes);
    let text = place.refusal().to_string();
    let directory = place.storage().to_string();
    for part in [
        directory.as_str(),
        "journal-0000000001.segment, byte 32: the batch of sequence 1 fails its checksum",
        "Nothing was changed",
        "restore the directory from a copy, or run `merit journal verify`",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}
