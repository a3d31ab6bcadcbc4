//! The journal on a disk of any bytes.
//!
//! The first byte chooses. Even: the rest is the first segment's file, whatever it is. Odd: the rest is a script that
//! writes a journal of some segments and then damages it.
//!
//! Promises: a reading ends and never panics; what an opening accepted is sound afterwards, and takes more; records
//! are given in order without a gap; of a damaged journal only a prefix of what was appended is read; for one changed
//! bit, nothing but the last batch is cut.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use merit_journal::storage::{LockError, Storage, StorageFile};
use merit_journal::{Batch, Journal, Recovery, Settings, verify};

const FIRST_SEGMENT: &str = "journal-0000000001.segment";
/// Small, so that a script of some hundred bytes fills several segments.
const SEGMENT_BYTES: u64 = 256;
/// Longest file in memory, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Runs the target.
pub fn journal(input: &[u8]) {
    match input {
        [choice, rest @ ..] if choice % 2 == 0 => any_segment(rest),
        [_, rest @ ..] => damaged(rest),
        [] => {}
    }
}

/// Returns the file of a segment with two batches, for the seeds.
pub fn written_segment() -> Vec<u8> {
    let disk = Memory::default();
    let (mut writer, _) = Journal::open(disk.clone(), settings(), |_, _| Ok(())).unwrap();
    for records in [["one", "two"], ["three", ""]] {
        let mut batch = Batch::starting_at(writer.next_sequence());
        for record in records {
            batch.push(record.as_bytes());
        }
        writer.append(&mut batch).unwrap();
    }
    drop(writer);
    let file = disk.open_to_read(FIRST_SEGMENT).unwrap();
    file.bytes().clone()
}

fn any_segment(bytes: &[u8]) {
    let disk = Memory::default();
    disk.files().insert(FIRST_SEGMENT.to_owned(), Arc::new(Mutex::new(bytes.to_vec())));
    if let Some((records, _)) = reopened(&disk) {
        takes_more(&disk, &records);
    }
}

/// Each byte of the script appends a batch of up to seven records, until 0xff. After it, every three bytes damage the
/// disk.
fn damaged(script: &[u8]) {
    let end = script.iter().position(|byte| *byte == 0xff).unwrap_or(script.len());
    let (batches, damages) = script.split_at(end);
    let disk = Memory::default();
    let mut appended: Vec<Vec<u8>> = Vec::new();
    let (mut writer, _) = Journal::open(disk.clone(), settings(), |_, _| Ok(())).unwrap();
    let mut last_batch = 0;
    for byte in batches.iter().take(64) {
        last_batch = appended.len();
        let mut batch = Batch::starting_at(writer.next_sequence());
        for number in 0..=byte % 7 {
            let record = vec![byte.wrapping_add(number); usize::from(byte / 7)];
            batch.push(&record);
            appended.push(record);
        }
        writer.append(&mut batch).unwrap();
    }
    drop(writer);
    let damages = damages.get(1..).unwrap_or_default().chunks_exact(3);
    // Two destroyed headers at the end are read as one interrupted write.
    let mut is_torn = damages.len() > 1;
    for damage in damages {
        is_torn |= disk.damage(damage[0], u16::from_le_bytes([damage[1], damage[2]]));
    }
    let report = verify(&disk).unwrap();
    let Some((records, recovery)) = reopened(&disk) else {
        assert!(report.damage.is_some(), "an opening refuses only what is damaged");
        return;
    };
    assert_eq!(records.as_slice(), &appended[..records.len()], "what is read was appended");
    assert!(is_torn || records.len() >= last_batch, "{} of {} records are left", records.len(), appended.len());
    assert_eq!(recovery.cut.is_some(), report.damage.is_some());
    takes_more(&disk, &records);
}

/// Opens the journal, if it opens. Returns its records and what the opening says of them.
fn reopened(disk: &Memory) -> Option<(Vec<Vec<u8>>, Recovery)> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    let mut next = None;
    let opened = Journal::open(disk.clone(), settings(), |sequence, record| {
        assert_eq!(next.unwrap_or(sequence), sequence, "no gap");
        next = Some(sequence + 1);
        records.push(record.to_vec());
        Ok(())
    });
    opened.ok().map(|(_, recovery)| (records, recovery))
}

/// A journal that was opened is sound, and has another record after one more is appended.
fn takes_more(disk: &Memory, records: &[Vec<u8>]) {
    assert_eq!(verify(disk).unwrap().damage, None);
    let (mut writer, _) = Journal::open(disk.clone(), settings(), |_, _| Ok(())).unwrap();
    let mut batch = Batch::starting_at(writer.next_sequence());
    batch.push(b"more");
    writer.append(&mut batch).unwrap();
    drop(writer);
    let (now, _) = reopened(disk).unwrap();
    assert_eq!((&now[..records.len()], &now[records.len()..]), (records, &[b"more".to_vec()][..]));
}

fn settings() -> Settings {
    Settings { segment_bytes: SEGMENT_BYTES }
}

/// The bytes of one file; whoever has it open keeps it through a rename.
type Bytes = Arc<Mutex<Vec<u8>>>;

/// A disk in memory: every write is durable at once.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl Memory {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap()
    }

    /// Changes one bit of one file. Past its end the file is cut to half, which no reading can tell from a torn write;
    /// returns true then.
    fn damage(&self, file: u8, position: u16) -> bool {
        let files = self.files();
        let Some(bytes) = files.values().nth(usize::from(file) % files.len().max(1)) else { return false };
        let mut bytes = bytes.lock().unwrap();
        let half = bytes.len() / 2;
        match bytes.get_mut(usize::from(position)) {
            Some(byte) => *byte ^= 1 << (file % 8),
            None => bytes.truncate(half),
        }
        bytes.len() == half
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

impl Storage for Memory {
    type File = MemoryFile;
    type Lock = ();

    fn lock(&self) -> Result<(), LockError> {
        Ok(())
    }

    fn is_locked(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        match self.files().entry(name.to_owned()) {
            Entry::Occupied(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Entry::Vacant(entry) => Ok(MemoryFile(Arc::clone(entry.insert(Bytes::default())))),
        }
    }

    fn open_to_read(&self, name: &str) -> io::Result<MemoryFile> {
        self.files().get(name).map(|bytes| MemoryFile(Arc::clone(bytes))).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open_to_write(&self, name: &str) -> io::Result<MemoryFile> {
        self.open_to_read(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn random(&self) -> io::Result<u64> {
        Ok(7)
    }
}

/// An open file of a [`Memory`].
struct MemoryFile(Bytes);

impl MemoryFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }

    fn grown(&self, length: u64) -> MutexGuard<'_, Vec<u8>> {
        assert!(length <= FILE_MAX_BYTES, "a file of {length} bytes");
        let mut bytes = self.bytes();
        let length = bytes.len().max(length as usize);
        bytes.resize(length, 0);
        bytes
    }
}

impl StorageFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes();
        let rest = bytes.get(position as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, position: u64, new: &[u8]) -> io::Result<()> {
        self.grown(position + new.len() as u64)[position as usize..][..new.len()].copy_from_slice(new);
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        drop(self.grown(length));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
