//! Opening a journal for writing: lock, read everything, cut a damaged tail, go on after it.
//!
//! Owns the changes to an existing journal, and the refusals. Nothing is changed before the whole journal has been read
//! and found sound but for its tail. It never mends anything else.

use crate::append::{Journal, Settings};
use crate::damage::{Damage, Extent};
use crate::format::{FIRST_SEGMENT, SegmentHeader, is_unfinished, segment_name};
use crate::report::{Contents, ReadError, VisitError};
use crate::segment::{Segment, WriteError, failed, path_of, sync_names};
use crate::storage::{LockError, Storage};
use crate::walk::{End, Span, Walk, walk};

/// The findings of an opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    pub contents: Contents,
    /// The damaged tail that was cut, for the operator to see.
    pub cut: Option<Damage>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the journal in {place} {}: {damage}. Nothing was changed; {}", damage.verdict(), damage.way_out())]
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
    /// Reads the journal in a storage that this process has locked, and gives every record with its sequence to
    /// `visit`, in order.
    ///
    /// Refuses if `visit` refuses a record, and if anything but the tail is damaged, missing or of another format
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

    /// Returns the journal's identity, a random number; none if there is no journal yet.
    #[must_use]
    pub fn identity(&self) -> Option<u32> {
        self.walk.identity
    }

    /// Returns the sequence of the last record; 0 before the first.
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
    /// Locks the storage, gives every record with its sequence to `visit`, and makes the journal ready for more:
    /// [`Sound::read`] and [`Sound::ready`] in one step.
    ///
    /// Refuses also if another process holds the lock. After a refusal nothing in the journal is changed.
    pub fn open(
        storage: S,
        settings: Settings,
        visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<(Self, Recovery), OpenError> {
        let lock = storage.lock()?;
        Sound::read(storage, lock, visit)?.ready(settings)
    }
}

/// Makes the last segment ready: its valid part durable, and zeros after it.
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

/// Removes a segment that a crash left unfinished: it never got its name and holds no batch.
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
