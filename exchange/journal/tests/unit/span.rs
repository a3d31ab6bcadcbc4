//! Some records of a journal: earlier ones are stepped over, later ones are not looked at.

use super::*;
use crate::{Enough, Fault, read_span};

impl Place {
    fn span(&self, after: u64, upto: u64) -> (Report, Vec<(u64, Record)>) {
        let mut records = Vec::new();
        let report = read_span(&self.storage(), after, upto, |sequence, record| {
            records.push((sequence, record.to_vec()));
            Ok(())
        })
        .unwrap();
        (report, records)
    }
}

#[test]
fn every_span_gives_its_records_and_no_others() {
    let batches = some_batches(12);
    let place = Place::with(&batches);
    assert!(place.last_segment() > 2);
    let records = flatten(&batches);
    let last = records.len() as u64;
    for after in 0..=last + 1 {
        for upto in after..=last + 2 {
            let expected: Vec<(u64, Record)> = (after + 1..=upto.min(last))
                .map(|sequence| (sequence, records[sequence as usize - 1].clone()))
                .collect();
            let (report, found) = place.span(after, upto);
            assert_eq!((report.damage, found), (None, expected), "{after}..={upto}");
        }
    }
}

#[test]
fn reading_ends_where_the_reader_has_seen_enough() {
    let place = Place::with(&some_batches(12));
    let mut seen = 0;
    let report = read(&place.storage(), |sequence, _| {
        seen = sequence;
        if sequence == 5 { Err(Enough.into()) } else { Ok(()) }
    });
    assert_eq!((report.unwrap().damage, seen), (None, 5));
}

#[test]
fn damage_is_found_within_a_span_alone() {
    let place = Place::with(&some_batches(12));
    let middle = place.batches(2)[1].clone();
    let mut bytes = place.bytes(2);
    bytes[middle.end - 1] ^= 1;
    place.put(2, &bytes);
    let damage = place.verify().damage.unwrap();
    let Fault::BatchPayload { first_sequence } = damage.fault else { panic!("{damage}") };
    let next = first_sequence
        + u64::from(BatchHeader::decode(&bytes[middle.start..][..24], place.identity()).unwrap().records);

    assert_eq!(place.span(0, first_sequence - 1).0.damage, None);
    assert_eq!(place.span(0, first_sequence).0.damage, Some(damage.clone()));
    assert_eq!(place.span(first_sequence - 1, next).0.damage, Some(damage.clone()));
    let (report, found) = place.span(next - 1, u64::MAX);
    assert_eq!((report.damage, found[0].0), (None, next));
}

#[test]
fn a_span_that_is_durable_is_read_beside_the_writer() {
    let place = Place::new(Settings { segment_bytes: 4096 });
    let mut journal = place.open().journal;
    for last in 1..=60 {
        append(&mut journal, &[vec![last as u8; 90]]);
        let (report, found) = place.span(last - 1, last);
        assert!(report.in_use);
        assert_eq!(found, [(last, vec![last as u8; 90])]);
    }
}
