//! Appended records come back, whatever the sizes, the segments and the moments of reopening.

use proptest::collection::vec;
use proptest::prelude::*;

use std::thread;

use super::*;
use crate::{Extent, ReadError, VisitError};

#[derive(Debug, Clone)]
enum Action {
    Append(Vec<Record>),
    Reopen,
    ReopenWith { segment_bytes: u64 },
}

fn an_action() -> impl Strategy<Value = Action> {
    let record = prop_oneof![
        4 => vec(any::<u8>(), 0..60),
        1 => vec(any::<u8>(), 0..3000),
        1 => (0..200_usize).prop_map(|length| vec![0; length]),
    ];
    prop_oneof![
        6 => vec(record, 0..8).prop_map(Action::Append),
        1 => Just(Action::Reopen),
        1 => (0..2000_u64).prop_map(|segment_bytes| Action::ReopenWith { segment_bytes }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_appended_record_comes_back_in_order(actions in vec(an_action(), 1..24)) {
        let mut place = Place::new(SMALL);
        let mut journal = place.open().journal;
        let mut expected: Vec<Record> = Vec::new();
        let mut batches = 0;
        for action in actions {
            match action {
                Action::Append(records) => {
                    append(&mut journal, &records);
                    batches += u64::from(!records.is_empty());
                    expected.extend(records);
                    continue;
                }
                Action::Reopen => {}
                Action::ReopenWith { segment_bytes } => place.settings = Settings { segment_bytes },
            }
            drop(journal);
            let opened = place.open();
            prop_assert_eq!(&opened.records, &expected);
            prop_assert_eq!(opened.recovery.cut, None);
            journal = opened.journal;
        }
        drop(journal);
        let (report, records) = place.read();
        prop_assert_eq!(&records, &expected);
        prop_assert_eq!(report.damage, None);
        prop_assert_eq!(report.contents.batches, batches);
        prop_assert_eq!(place.open().recovery.contents, report.contents);
    }
}

#[test]
fn an_empty_place_gets_an_empty_journal() {
    let place = Place::new(Settings::default());
    let opened = place.open();
    assert_eq!(opened.journal.next_sequence(), 1);
    assert_eq!(opened.recovery.cut, None);
    assert_eq!(opened.recovery.contents, Contents::default());
    assert_eq!(place.bytes(1).len(), 64 << 20);
    let empty = SegmentContents {
        file: segment_name(1),
        first_sequence: 1,
        batches: 0,
        records: 0,
        bytes: SEGMENT_HEADER_BYTES as u64,
    };
    assert_eq!(
        place.verify().contents,
        Contents { segments: 1, bytes: empty.bytes, by_segment: vec![empty], ..Contents::default() }
    );
}

#[test]
fn the_report_counts_what_is_there() {
    let batches = some_batches(12);
    let place = Place::with(&batches);
    let records = flatten(&batches);
    let record_bytes: usize = records.iter().map(|record| record.len() + 4).sum();
    let segments = place.last_segment();
    assert!(segments > 2);
    let headers = 12 * BATCH_HEADER_BYTES + segments as usize * SEGMENT_HEADER_BYTES;
    let report = place.verify();
    let by_segment = report.contents.by_segment.clone();
    let firsts: Vec<u64> = by_segment.iter().map(|segment| segment.first_sequence).collect();
    let nexts: Vec<u64> = by_segment.iter().map(|segment| segment.first_sequence + segment.records).collect();
    assert_eq!((firsts[0], &firsts[1..]), (1, &nexts[..nexts.len() - 1]));
    assert_eq!(by_segment.iter().map(|segment| segment.batches).sum::<u64>(), 12);
    assert_eq!(by_segment.iter().map(|segment| segment.bytes).sum::<u64>(), (record_bytes + headers) as u64);
    assert_eq!(
        report,
        Report {
            identity: Some(place.identity()),
            contents: Contents {
                segments: u64::from(segments),
                batches: 12,
                records: records.len() as u64,
                first_sequence: Some(1),
                last_sequence: Some(records.len() as u64),
                last_batch: Some((records.len() - batches[11].len()) as u64 + 1),
                bytes: (record_bytes + headers) as u64,
                by_segment,
            },
            damage: None,
            in_use: false,
        }
    );
}

#[test]
fn a_batch_longer_than_a_segment_gets_its_own() {
    let long = vec![vec![7; 5000]];
    let place = Place::with(&[vec![vec![1]], long.clone(), vec![vec![2]]]);
    assert_eq!(place.last_segment(), 3);
    assert_eq!(place.open().records, [vec![1], long[0].clone(), vec![2]]);
}

#[test]
fn an_empty_batch_writes_nothing() {
    let place = Place::with(&[]);
    let before = place.bytes(1);
    let mut journal = place.open().journal;
    append(&mut journal, &[]);
    assert_eq!(place.bytes(1), before);
    assert_eq!(journal.next_sequence(), 1);
}

#[test]
fn a_batch_is_reused_with_its_memory() {
    let mut batch = Batch::starting_at(5);
    assert_eq!(batch.push(b"five"), 5);
    assert_eq!(batch.push(b""), 6);
    assert_eq!(batch.next_sequence(), 7);
    assert_eq!(batch.bytes(), BATCH_HEADER_BYTES + 4 + 4 + 4);
    batch.restart_at(7);
    assert!(batch.is_empty());
    assert_eq!(batch.push(b"seven"), 7);
}

#[test]
#[should_panic(expected = "a batch must go on where the journal ends")]
fn a_batch_with_another_sequence_is_a_bug() {
    let place = Place::new(SMALL);
    let mut batch = Batch::starting_at(2);
    batch.push(b"two");
    let mut journal = place.open().journal;
    journal.append(&mut batch).unwrap();
}

#[test]
fn an_unusable_record_stops_the_open_and_the_reading() {
    let place = Place::with(&some_batches(5));
    let refuse_third = |sequence: u64, _: &[u8]| -> Result<(), VisitError> {
        if sequence == 3 {
            return Err("no such command".into());
        }
        Ok(())
    };
    let opened = Journal::open(place.storage(), SMALL, refuse_third);
    assert!(matches!(opened.err().unwrap(), OpenError::Read(ReadError::Visit { sequence: 3, .. })));
    assert!(matches!(read(&place.storage(), refuse_third), Err(ReadError::Visit { sequence: 3, .. })));
}

#[test]
fn a_missing_directory_is_named_and_not_created() {
    let place = Place::new(SMALL);
    let missing = place.directory.path().join("missing");
    let error = verify(&Directory::existing(&missing)).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(!missing.exists());
    Journal::open(Directory::create(&missing).unwrap(), SMALL, |_, _| Ok(())).unwrap();
    assert_eq!(verify(&Directory::existing(&missing)).unwrap().damage, None);
}

#[test]
fn reading_beside_a_writer_finds_only_a_torn_tail() {
    let place = Place::new(Settings { segment_bytes: 8 << 20 });
    let mut journal = place.open().journal;
    let record = vec![0xa5; 150_000];
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..200 {
                append(&mut journal, std::slice::from_ref(&record));
            }
        });
        while !writer.is_finished() {
            let (report, records) = place.read();
            assert!(records.iter().all(|read| *read == record));
            if let Some(damage) = report.damage {
                assert_eq!(damage.extent, Extent::Tail, "{damage}");
                assert!(report.in_use);
            }
        }
    });
    let report = place.verify();
    assert_eq!((report.contents.records, report.damage), (200, None));
}
