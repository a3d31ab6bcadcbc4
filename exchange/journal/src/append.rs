//! Appending to an open journal.
//!
//! Owns the order of writes that recovery relies on: a batch is one write and one sync, and nothing is written after it
//! before it is durable. After the first failure it never writes again.

use crate::batch::Batch;
use crate::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::segment::{Segment, Spare, WriteError};
use crate::storage::Storage;

/// Settings of a writer. Any journal can be read with any settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The length of a new segment in bytes, reserved when it is created. A longer batch gets a longer segment.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20 }
    }
}

/// A journal that this process alone writes. Made by [`Journal::open`]; dropping it releases the lock.
pub struct Journal<S: Storage> {
    segment: Segment<S::File>,
    spare: Option<Spare<S::File>>,
    next_sequence: u64,
    identity: u32,
    settings: Settings,
    /// The first failure, as text. Once set, nothing is written.
    stopped_by: Option<String>,
    storage: S,
    /// Held until everything above is closed.
    _lock: S::Lock,
}

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// This batch may or may not be in the journal; the next open finds out.
    #[error("the journal stops")]
    Failed(#[from] WriteError),
    /// Nothing was written.
    #[error("the journal stopped earlier: {failure}; restart the process to go on")]
    Stopped { failure: String },
}

impl<S: Storage> Journal<S> {
    pub(crate) fn new(
        storage: S,
        settings: Settings,
        identity: u32,
        segment: Segment<S::File>,
        next_sequence: u64,
        lock: S::Lock,
    ) -> Self {
        Self { segment, spare: None, next_sequence, identity, settings, stopped_by: None, storage, _lock: lock }
    }

    /// Returns the sequence that the next record must have.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Returns the journal's identity, a random number.
    #[must_use]
    pub fn identity(&self) -> u32 {
        self.identity
    }

    /// Writes a batch with one write and returns when it is durable. An empty one writes nothing.
    ///
    /// After any failure every later call fails: the process must end, and the next open finds out which batches are
    /// durable.
    ///
    /// # Panics
    /// If the batch does not start at [`Self::next_sequence`].
    pub fn append(&mut self, batch: &mut Batch) -> Result<(), AppendError> {
        if let Some(failure) = &self.stopped_by {
            return Err(AppendError::Stopped { failure: failure.clone() });
        }
        if batch.is_empty() {
            return Ok(());
        }
        assert_eq!(
            batch.first_sequence(),
            self.next_sequence,
            "a batch must go on where the journal ends, or it could not be read back"
        );
        if let Err(error) = self.write(batch.seal(self.identity)) {
            self.stopped_by = Some(format!("{error}: {}", error.source));
            return Err(error.into());
        }
        self.next_sequence = batch.next_sequence();
        Ok(())
    }

    /// Returns true if the next segment's file and room are reserved.
    #[must_use]
    pub fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    /// Reserves the file and the room of the next segment, unless they are. A failure leaves the journal as it is: it
    /// may be called again, and without a spare the segment is made when it is needed.
    pub fn reserve(&mut self) -> Result<(), WriteError> {
        if self.spare.is_none() {
            let number = self.segment.number + 1;
            let reserved = Spare::reserve(&self.storage, number, self.settings.segment_bytes);
            if reserved.is_err() {
                Spare::give_back(&self.storage, number);
            }
            self.spare = Some(reserved?);
        }
        Ok(())
    }

    fn write(&mut self, sealed: &[u8]) -> Result<(), WriteError> {
        let bytes = sealed.len() as u64;
        if !self.segment.has_room_for(bytes) {
            let header = SegmentHeader {
                identity: self.identity,
                first_sequence: self.next_sequence,
                number: self.segment.number + 1,
            };
            let needed = SEGMENT_HEADER_BYTES as u64 + bytes;
            let capacity_bytes = needed.max(self.settings.segment_bytes);
            self.segment = match self.spare.take() {
                Some(spare) => spare.into_segment(&self.storage, header, needed)?,
                None => Segment::create(&self.storage, header, capacity_bytes)?,
            };
        }
        self.segment.extend(sealed)
    }
}
