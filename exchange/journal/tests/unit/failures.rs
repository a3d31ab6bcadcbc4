//! A disk that fails: the journal stops at the first failure, and what it acknowledged is there.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex};

use super::*;
use crate::AppendError;
use crate::storage::{LockError, Storage, StorageFile};

/// The calls to the disk, in order, and the one that fails.
#[derive(Default)]
struct Log {
    calls: Vec<&'static str>,
    /// The index of the first call that fails; all later ones succeed.
    failing: Option<usize>,
}

impl Log {
    fn call(&mut self, name: &'static str) -> io::Result<()> {
        self.calls.push(name);
        if self.failing == Some(self.calls.len() - 1) {
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }
}

/// A real directory one of whose changes fails.
struct Failing {
    directory: Directory,
    log: Arc<Mutex<Log>>,
}

struct FailingFile {
    file: File,
    log: Arc<Mutex<Log>>,
}

impl Failing {
    fn call(&self, name: &'static str) -> io::Result<()> {
        self.log.lock().unwrap().call(name)
    }

    fn file(&self, file: File) -> FailingFile {
        FailingFile { file, log: Arc::clone(&self.log) }
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.directory.fmt(formatter)
    }
}

impl Storage for Failing {
    type File = FailingFile;
    type Lock = File;

    fn lock(&self) -> Result<File, LockError> {
        self.directory.lock()
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.directory.is_locked()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.directory.list()
    }

    fn create(&self, name: &str) -> io::Result<FailingFile> {
        self.call("create")?;
        Ok(self.file(self.directory.create(name)?))
    }

    fn open_to_read(&self, name: &str) -> io::Result<FailingFile> {
        Ok(self.file(self.directory.open_to_read(name)?))
    }

    fn open_to_write(&self, name: &str) -> io::Result<FailingFile> {
        Ok(self.file(self.directory.open_to_write(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call("rename")?;
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call("remove")?;
        self.directory.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.call("sync_names")?;
        self.directory.sync_names()
    }

    fn random(&self) -> io::Result<u64> {
        self.directory.random()
    }
}

impl StorageFile for FailingFile {
    fn length(&self) -> io::Result<u64> {
        StorageFile::length(&self.file)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        StorageFile::read_at(&self.file, position, buffer)
    }

    /// A failing write leaves half of its bytes.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let allowed = self.log.lock().unwrap().call("write");
        let written = if allowed.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        StorageFile::write_at(&self.file, position, written)?;
        allowed
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.log.lock().unwrap().call("allocate")?;
        StorageFile::allocate(&self.file, length)
    }

    fn sync(&self) -> io::Result<()> {
        self.log.lock().unwrap().call("sync")?;
        StorageFile::sync(&self.file)
    }
}

impl Place {
    fn failing(&self, failing: Option<usize>) -> (Failing, Arc<Mutex<Log>>) {
        let log = Arc::new(Mutex::new(Log { calls: Vec::new(), failing }));
        let storage = Failing { directory: self.storage(), log: Arc::clone(&log) };
        (storage, log)
    }
}

fn batch_of(first_sequence: u64, records: &[Record]) -> Batch {
    let mut batch = Batch::starting_at(first_sequence);
    for record in records {
        batch.push(record);
    }
    batch
}

#[test]
fn after_any_failed_call_nothing_is_lost_or_written() {
    let batches = some_batches(7);
    let mut failing = 0;
    loop {
        let place = Place::with(&batches[..1]);
        // Something to cut and something to remove, so that these calls fail too.
        let mut bytes = place.bytes(1);
        bytes[239] = 1;
        place.put(1, &bytes);
        fs::write(place.path(9).with_extension("segment.new"), b"").unwrap();

        let (storage, log) = place.failing(Some(failing));
        let mut acknowledged = flatten(&batches[..1]);
        let mut in_flight = Vec::new();
        let mut failed = true;
        if let Ok((mut journal, _)) = Journal::open(storage, SMALL, |_, _| Ok(())) {
            failed = false;
            for records in &batches[1..] {
                let mut batch = batch_of(journal.next_sequence(), records);
                match journal.append(&mut batch) {
                    Ok(()) => {
                        assert!(!failed, "it went on after a failure");
                        acknowledged.extend_from_slice(records);
                    }
                    Err(AppendError::Failed(_)) => {
                        assert!(!failed, "it tried again after a failure");
                        failed = true;
                        in_flight = records.clone();
                    }
                    Err(AppendError::Stopped { failure }) => {
                        assert!(failed);
                        assert!(failure.contains("injected"), "{failure}");
                    }
                }
            }
        }
        let calls = log.lock().unwrap().calls.len();
        if !failed {
            assert!(failing >= calls, "call {failing} failed unnoticed");
            assert!(failing > 20);
            return;
        }
        assert_eq!(calls, failing + 1, "something was written after the failure");
        let records = place.open().records;
        let with_in_flight = [acknowledged.clone(), in_flight].concat();
        assert!(records == acknowledged || records == with_in_flight, "call {failing}: {records:?}");
        failing += 1;
    }
}

#[test]
fn a_failed_sync_poisons_the_journal() {
    let place = Place::with(&some_batches(2));
    let (storage, log) = place.failing(None);
    let (mut journal, _) = Journal::open(storage, SMALL, |_, _| Ok(())).unwrap();
    let next = journal.next_sequence();
    {
        let mut log = log.lock().unwrap();
        log.failing = Some(log.calls.len() + 1);
    }
    let mut batch = batch_of(next, &[b"lost".to_vec()]);
    let error = journal.append(&mut batch).unwrap_err();
    assert!(matches!(&error, AppendError::Failed(failure) if failure.doing == "sync"));
    let calls = log.lock().unwrap().calls.len();
    for _ in 0..2 {
        let again = journal.append(&mut batch).unwrap_err();
        assert!(matches!(again, AppendError::Stopped { .. }), "{again}");
    }
    assert_eq!(journal.next_sequence(), next);
    assert_eq!(log.lock().unwrap().calls.len(), calls);
}

#[test]
fn a_batch_is_one_write_and_one_sync() {
    let place = Place::new(Settings::default());
    let (storage, log) = place.failing(None);
    let (mut journal, _) = Journal::open(storage, place.settings, |_, _| Ok(())).unwrap();
    log.lock().unwrap().calls.clear();
    for records in some_batches(3) {
        let mut batch = batch_of(journal.next_sequence(), &records);
        journal.append(&mut batch).unwrap();
    }
    assert_eq!(log.lock().unwrap().calls, ["write", "sync", "write", "sync", "write", "sync"]);
}

#[test]
fn a_segment_gets_its_name_with_a_durable_header() {
    let place = Place::new(SMALL);
    let (storage, log) = place.failing(None);
    Journal::open(storage, SMALL, |_, _| Ok(())).unwrap();
    assert_eq!(
        log.lock().unwrap().calls,
        ["create", "allocate", "write", "sync", "rename", "sync_names", "sync_names"]
    );
}

#[test]
fn opening_writes_the_last_batch_once_more() {
    let place = Place::with(&some_batches(2));
    let before = place.bytes(1);
    let (storage, log) = place.failing(None);
    Journal::open(storage, SMALL, |_, _| Ok(())).unwrap();
    assert_eq!(log.lock().unwrap().calls, ["allocate", "write", "sync", "sync_names"]);
    assert_eq!(place.bytes(1), before);
}

/// Appends a batch of one record that fills most of a small segment. Returns the calls.
fn append_large(journal: &mut Journal<Failing>, log: &Mutex<Log>) -> Vec<&'static str> {
    log.lock().unwrap().calls.clear();
    let mut batch = batch_of(journal.next_sequence(), &[vec![7; 100]]);
    journal.append(&mut batch).unwrap();
    log.lock().unwrap().calls.clone()
}

#[test]
fn a_reserved_segment_needs_no_new_file_and_no_room() {
    let place = Place::new(SMALL);
    let (storage, log) = place.failing(None);
    let (mut journal, _) = Journal::open(storage, SMALL, |_, _| Ok(())).unwrap();
    append_large(&mut journal, &log);
    journal.reserve().unwrap();
    assert!(journal.has_spare());
    let calls = append_large(&mut journal, &log);
    assert_eq!(calls, ["write", "sync", "rename", "sync_names", "write", "sync"], "nothing is created");
    assert!(!journal.has_spare());
    assert!(append_large(&mut journal, &log).contains(&"create"), "without a reserve the segment is made");
    journal.reserve().unwrap();
    drop(journal);
    let opened = place.open();
    assert_eq!((opened.records.len(), opened.recovery.cut), (3, None));
    assert_eq!(place.last_segment(), 3, "the reserve is no segment");
}

#[test]
fn a_failed_reserve_stops_nothing() {
    for failing in 0..2 {
        let place = Place::new(SMALL);
        let (storage, log) = place.failing(None);
        let (mut journal, _) = Journal::open(storage, SMALL, |_, _| Ok(())).unwrap();
        append_large(&mut journal, &log);
        {
            let mut log = log.lock().unwrap();
            log.failing = Some(log.calls.len() + failing);
        }
        assert!(journal.reserve().is_err() && !journal.has_spare(), "call {failing}");
        log.lock().unwrap().failing = None;
        append_large(&mut journal, &log);
        journal.reserve().unwrap();
        append_large(&mut journal, &log);
        drop(journal);
        assert_eq!(place.open().records.len(), 3, "call {failing}");
    }
}
