//! Opening a journal for writing: lock, read everything, cut a damaged tail, go on after it.
//!
//! Owns what may be changed in an existing journal, and the refusals. Nothing is changed before the
//! whole journal has been read and found sound but for its tail. It never mends anything else.

use super::append::Journal;
use super::damage::{Damage, Extent};
use super::format::{FIRST_SEGMENT, SegmentHeader, is_unfinished, segment_name};
use super::read::{Contents, ReadError, VisitError};
use super::segment::{Segment, WriteError, failed, path_of, sync_names};
use super::walk::{End, Span, Walk, walk};
use crate::storage::{LockError, Storage};

/// How a journal is written. Any journal can be read with any settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The length of a new segment, reserved when it is made. A batch that is longer gets a longer
    /// segment.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20 }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    pub contents: Contents,
    /// The damaged tail that was cut; to be shown to the operator.
    pub cut: Option<Damage>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the journal in {place} is damaged: {damage}. Nothing was changed; {}", damage.way_out())]
    Damaged { place: String, damage: Damage },
    #[error("the journal could not be made ready for writing")]
    Write(#[from] WriteError),
}

/// A journal that was read to its end, under its lock, and is sound but for its tail. Nothing is changed yet.
pub struct Sound<S: Storage> {
    storage: S,
    lock: S::Lock,
    walk: Walk,
}

impl<S: Storage> Sound<S> {
    /// Reads the journal in a storage that this process has locked: gives every record with its sequence to
    /// `visit`, in order.
    ///
    /// Refuses if `visit` refuses a record, and if anything but the tail is damaged, missing or of an unknown format
    /// version. Records before the damage may have been given.
    pub fn read(
        storage: S,
        lock: S::Lock,
        visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<Self, OpenError> {
        let walk = walk(&storage, Span::ALL, visit)?;
        if let Some(damage) = walk.damage.as_ref().filter(|damage| damage.extent == Extent::Middle) {
            return Err(OpenError::Damaged { place: storage.to_string(), damage: damage.clone() });
        }
        Ok(Self { storage, lock, walk })
    }

    /// The random number by which the journal is known; none if there is no journal yet.
    #[must_use]
    pub fn identity(&self) -> Option<u32> {
        self.walk.identity
    }

    /// The sequence of the last record; 0 before the first.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        self.walk.next_sequence - 1
    }

    /// Makes the journal ready for more. A storage without a journal gets an empty one, which starts at sequence 1.
    ///
    /// A damaged last batch is cut, durably, and named in the [`Recovery`]. When it returns, every record that was
    /// read is durable.
    pub fn ready(self, settings: Settings) -> Result<(Journal<S>, Recovery), OpenError> {
        let Self { storage, lock, walk } = self;
        let identity = match walk.identity {
            Some(identity) => identity,
            None => new_identity(&storage)?,
        };
        remove_unfinished(&storage)?;
        let segment = ready_segment(&storage, settings, &walk, identity)?;
        sync_names(&storage)?;

        let recovery = Recovery { contents: walk.contents, cut: walk.damage };
        let journal = Journal::new(storage, settings, identity, segment, walk.next_sequence, lock);
        Ok((journal, recovery))
    }
}

impl<S: Storage> Journal<S> {
    /// Takes the storage for this process, gives every record with its sequence to `visit`, and makes the journal
    /// ready for more: [`Sound::read`] and [`Sound::ready`] in one step.
    ///
    /// Refuses also if another process has the journal. After a refusal nothing in it is changed.
    pub fn open(
        storage: S,
        settings: Settings,
        visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<(Self, Recovery), OpenError> {
        let lock = storage.lock()?;
        Sound::read(storage, lock, visit)?.ready(settings)
    }
}

/// The segment to go on with, its valid part durable and zeros after it.
fn ready_segment<S: Storage>(
    storage: &S,
    settings: Settings,
    walk: &Walk,
    identity: u32,
) -> Result<Segment<S::File>, WriteError> {
    let remade = |number| {
        let header = SegmentHeader { identity, first_sequence: walk.next_sequence, number };
        Segment::create(storage, header, settings.segment_bytes)
    };
    match &walk.end {
        None => remade(FIRST_SEGMENT),
        Some(End { number, position: 0, .. }) => remade(*number),
        Some(end) => {
            let segment = Segment::open(storage, end.number, end.position, settings.segment_bytes)?;
            if let Some(damage) = &walk.damage {
                segment.cut(damage)?;
            }
            if let Some(last_batch) = end.last_batch {
                segment.rewrite(last_batch)?;
            }
            segment.sync()?;
            Ok(segment)
        }
    }
}

/// Removes what a crash left of a segment that never got its name: it holds no batch.
fn remove_unfinished<S: Storage>(storage: &S) -> Result<(), WriteError> {
    let names = storage.list().map_err(failed("list", &storage.to_string()))?;
    for name in names.iter().filter(|name| is_unfinished(name)) {
        storage.remove(name).map_err(failed("remove", &path_of(storage, name)))?;
    }
    Ok(())
}

fn new_identity<S: Storage>(storage: &S) -> Result<u32, WriteError> {
    let path = path_of(storage, &segment_name(FIRST_SEGMENT));
    let number = storage.random().map_err(failed("draw a random number for", &path))?;
    Ok(number as u32)
}
