//! Tests of the journal against real files.
//!
//! Owns their shared parts: a directory that goes away, journals written batch by batch, and the positions of their
//! batches.

mod arbitrary;
mod batches;
mod damage;
mod failures;
mod lock;
mod round_trip;
mod segments;
mod span;
mod torn;
mod trim;

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use tempfile::TempDir;

use super::format::{
    BATCH_HEADER_BYTES, BatchHeader, ReadHeader, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name, segment_number,
};
use super::{Batch, Contents, Journal, OpenError, Recovery, Report, SegmentContents, Settings, read, verify};
use crate::storage::Directory;

type Record = Vec<u8>;

const SMALL: Settings = Settings { segment_bytes: 240 };

/// A journal's directory.
struct Place {
    directory: TempDir,
    settings: Settings,
}

type OpenResult = Result<(Journal<Directory>, Recovery), OpenError>;

struct Opened {
    journal: Journal<Directory>,
    recovery: Recovery,
    records: Vec<Record>,
}

impl Place {
    fn new(settings: Settings) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), settings }
    }

    /// Makes a journal of small segments with these batches.
    fn with(batches: &[Vec<Record>]) -> Self {
        let place = Self::new(SMALL);
        let mut journal = place.open().journal;
        for batch in batches {
            append(&mut journal, batch);
        }
        place
    }

    fn storage(&self) -> Directory {
        Directory::existing(self.directory.path())
    }

    /// Opens it, and checks that sequences are consecutive from 1.
    fn try_open(&self) -> (OpenResult, Vec<Record>) {
        let mut records = Vec::new();
        let result = Journal::open(self.storage(), self.settings, |sequence, record| {
            records.push(record.to_vec());
            assert_eq!(sequence, records.len() as u64);
            Ok(())
        });
        (result, records)
    }

    fn open(&self) -> Opened {
        let (result, records) = self.try_open();
        let (journal, recovery) = result.unwrap();
        assert_eq!(journal.next_sequence(), records.len() as u64 + 1);
        assert_eq!(recovery.contents.records, records.len() as u64);
        Opened { journal, recovery, records }
    }

    fn refusal(&self) -> OpenError {
        self.try_open().0.err().unwrap()
    }

    fn read(&self) -> (Report, Vec<Record>) {
        let mut records = Vec::new();
        let report = read(&self.storage(), |_, record| {
            records.push(record.to_vec());
            Ok(())
        })
        .unwrap();
        (report, records)
    }

    fn verify(&self) -> Report {
        verify(&self.storage()).unwrap()
    }

    fn path(&self, number: u32) -> PathBuf {
        self.directory.path().join(segment_name(number))
    }

    fn bytes(&self, number: u32) -> Vec<u8> {
        fs::read(self.path(number)).unwrap()
    }

    fn put(&self, number: u32, bytes: &[u8]) {
        fs::write(self.path(number), bytes).unwrap();
    }

    fn last_segment(&self) -> u32 {
        fs::read_dir(self.directory.path())
            .unwrap()
            .filter_map(|entry| segment_number(entry.unwrap().file_name().to_str().unwrap()))
            .max()
            .unwrap()
    }

    fn identity(&self) -> u32 {
        match SegmentHeader::decode(&self.bytes(1)[..SEGMENT_HEADER_BYTES]) {
            ReadHeader::Known(header) => header.identity,
            _ => panic!("segment 1 has no valid header"),
        }
    }

    /// Returns the positions of the batches of a sound segment.
    fn batches(&self, number: u32) -> Vec<Range<usize>> {
        let bytes = self.bytes(number);
        let identity = self.identity();
        let mut batches: Vec<Range<usize>> = Vec::new();
        let mut position = SEGMENT_HEADER_BYTES;
        while let Some(header) =
            bytes.get(position..position + BATCH_HEADER_BYTES).and_then(|header| BatchHeader::decode(header, identity))
        {
            let end = position + BATCH_HEADER_BYTES + header.payload_bytes as usize;
            batches.push(position..end);
            position = end;
        }
        batches
    }
}

fn append(journal: &mut Journal<Directory>, records: &[Record]) {
    let mut batch = Batch::starting_at(journal.next_sequence());
    for record in records {
        batch.push(record);
    }
    journal.append(&mut batch).unwrap();
}

/// Makes `count` batches of one to three records of different lengths, the empty one included.
fn some_batches(count: usize) -> Vec<Vec<Record>> {
    (0..count)
        .map(|batch| (0..=batch % 3).map(|record| vec![batch as u8 + 1; (batch * 7 + record * 11) % 40]).collect())
        .collect()
}

fn flatten(batches: &[Vec<Record>]) -> Vec<Record> {
    batches.concat()
}
