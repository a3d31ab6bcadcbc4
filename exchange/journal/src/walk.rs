//! Reads a journal from its first byte to its last, checks everything, and judges what is wrong.
//!
//! The rule, which opening, verifying and reading share. A batch is written only after the one
//! before it is durable, and a segment appears under its name only with a durable header, after all
//! batches of the one before. So a crash can damage the last batch and nothing else, and damage is
//! the tail of an interrupted write only if nothing was written after it:
//!
//! - In any segment but the last, it is in the middle.
//! - If the batch's header is valid, it says where the batch ends: a byte after that which is not
//!   zero is the trace of a later write.
//! - If it is not, the rest of the file is searched at every byte for a valid later batch header.
//!   One that passes its checksum with a sequence that could stand there proves a later write.
//! - A segment without a valid header is a tail only if it is the last and holds nothing else.
//! - Whole batches with the wrong sequence are never the work of a crash.
//!
//! Known limits. If the header of the last batch but one and that of the last are both destroyed,
//! nothing tells them from one torn write, and both are cut, with a message. A newest segment file
//! that somebody cut off or removed looks like a shorter journal. It never writes.
//!
//! Whoever wants only some records names their [`Span`]: segments and batches before it are stepped over by their
//! headers, without a look at their payloads, and the walk ends behind it.

use std::io;

use super::damage::{Damage, Extent, Fault};
use super::format::{
    BATCH_HEADER_BYTES, BatchHeader, FIRST_SEGMENT, FIRST_SEQUENCE, RECORD_HEADER_BYTES, ReadHeader,
    SEGMENT_HEADER_BYTES, SegmentHeader, segment_name, segment_number, split_records,
};
use super::read::{Contents, Enough, ReadError, SegmentContents, VisitError};
use super::window::Window;
use crate::storage::{Storage, StorageFile};

use crc32c::crc32c;

/// What was found, up to the end or to the damage.
pub(super) struct Walk {
    span: Span,
    pub(super) contents: Contents,
    /// None before the first valid segment header.
    pub(super) identity: Option<u32>,
    pub(super) next_sequence: u64,
    /// The segment read last and what is valid of it; none if there is no segment.
    pub(super) end: Option<End>,
    pub(super) damage: Option<Damage>,
}

pub(super) struct End {
    pub(super) number: u32,
    /// Where the next batch goes; 0 if the segment has no valid header.
    pub(super) position: u64,
    /// Where the last batch of this segment begins.
    pub(super) last_batch: Option<u64>,
}

/// Which records are wanted: those above `after`, up to and with `upto`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) after: u64,
    pub(super) upto: u64,
}

impl Span {
    pub(super) const ALL: Span = Span { after: 0, upto: u64::MAX };
}

/// A fault before it is known where in the journal it stands.
struct Suspicion {
    fault: Fault,
    position: u64,
    /// Where the damaged batch ends, if its header can be trusted.
    ends_at: Option<u64>,
}

enum Step {
    Batch {
        ends_at: u64,
    },
    End,
    /// Everything that was wanted is read.
    Enough,
    Suspect(Suspicion),
    /// Whole, and not what belongs here.
    Misplaced(Fault),
}

/// Gives every valid record of the span to `visit`, in order, until its end, the first damage, or a refusal.
pub(super) fn walk<S: Storage>(
    storage: &S,
    span: Span,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
) -> Result<Walk, ReadError> {
    let all = segment_numbers(storage)?;
    let numbers = &all[first_wanted(storage, &all, span.after)?..];

    let mut walk = Walk {
        span,
        contents: Contents::default(),
        identity: None,
        next_sequence: FIRST_SEQUENCE,
        end: None,
        damage: None,
    };
    for (index, number) in numbers.iter().enumerate() {
        let is_last = index + 1 == numbers.len();
        match walk.segment(storage, *number, is_last, &mut visit) {
            Ok(None) => {}
            Ok(damage) => {
                walk.damage = damage;
                break;
            }
            // A process that makes room removes segments from the first one on.
            Err(error) if error.is_missing() && walk.end.is_none() && !is_last => {}
            Err(error) => return Err(error),
        }
        if walk.next_sequence > walk.span.upto {
            break;
        }
    }
    Ok(walk)
}

/// The numbers of all segments, in order.
pub(super) fn segment_numbers<S: Storage>(storage: &S) -> Result<Vec<u32>, ReadError> {
    let names = storage.list().map_err(|source| ReadError::failed(storage, "the directory", source))?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The header of a segment; none if it has no valid one of this format version.
pub(super) fn segment_header<S: Storage>(storage: &S, number: u32) -> Result<Option<SegmentHeader>, ReadError> {
    let name = segment_name(number);
    let failed = |source| ReadError::failed(storage, &name, source);
    let mut window = Window::small(storage.open_to_read(&name).map_err(failed)?).map_err(failed)?;
    match SegmentHeader::decode(window.at(0, SEGMENT_HEADER_BYTES).map_err(failed)?) {
        ReadHeader::Known(header) => Ok(Some(header)),
        ReadHeader::OtherVersion(_) | ReadHeader::Damaged => Ok(None),
    }
}

/// The index of the last segment that begins at or below the record after `after`; the first one if none is known to.
fn first_wanted<S: Storage>(storage: &S, numbers: &[u32], after: u64) -> Result<usize, ReadError> {
    if after == 0 {
        return Ok(0);
    }
    for (index, number) in numbers.iter().enumerate().rev() {
        if segment_header(storage, *number)?.is_some_and(|header| header.first_sequence <= after + 1) {
            return Ok(index);
        }
    }
    Ok(0)
}

impl Walk {
    fn segment<S: Storage>(
        &mut self,
        storage: &S,
        number: u32,
        is_last: bool,
        visit: &mut impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<Option<Damage>, ReadError> {
        if let Some(end) = &self.end
            && end.number + 1 != number
        {
            let missing = segment_name(end.number + 1);
            return Ok(Some(middle(&missing, 0, Fault::SegmentMissing)));
        }
        let name = segment_name(number);
        let failed = |source| ReadError::failed(storage, &name, source);
        let file = storage.open_to_read(&name).map_err(failed)?;
        let mut window = Window::new(file).map_err(failed)?;

        let header = match SegmentHeader::decode(window.at(0, SEGMENT_HEADER_BYTES).map_err(failed)?) {
            ReadHeader::Known(header) => header,
            ReadHeader::OtherVersion(found) => {
                return Ok(Some(middle(&name, 0, Fault::OtherVersion { found })));
            }
            ReadHeader::Damaged => {
                return self.judge_header(&mut window, number, is_last).map(Some).map_err(failed);
            }
        };
        if let Some(fault) = self.misplaced_segment(number, header) {
            return Ok(Some(middle(&name, 0, fault)));
        }
        self.next_sequence = header.first_sequence;
        self.identity = Some(header.identity);
        self.contents.add_segment(SegmentContents::empty(&name, header.first_sequence));

        let mut position = SEGMENT_HEADER_BYTES as u64;
        let mut last_batch = None;
        let mut looked_twice_at = None;
        let damage = loop {
            match self.batch(&mut window, position, header.identity, &failed, visit)? {
                Step::Batch { ends_at } => {
                    last_batch = Some(position);
                    position = ends_at;
                }
                Step::End | Step::Enough => break None,
                Step::Misplaced(fault) => break Some(middle(&name, position, fault)),
                // A process that is writing may have completed the batch since it was buffered.
                Step::Suspect(_) if looked_twice_at != Some(position) => {
                    looked_twice_at = Some(position);
                    window.forget();
                }
                Step::Suspect(suspicion) => {
                    let judged = self.judge(&mut window, &name, header.identity, is_last, suspicion);
                    break Some(judged.map_err(failed)?);
                }
            }
        };
        self.end = Some(End { number, position, last_batch });
        Ok(damage)
    }

    fn misplaced_segment(&self, number: u32, header: SegmentHeader) -> Option<Fault> {
        let is_first = self.end.is_none();
        // A journal may begin late, when what a snapshot covers was removed; never its segment 1.
        let any_sequence = is_first && number != FIRST_SEGMENT;
        if header.number != number {
            Some(Fault::SegmentNumber { found: header.number })
        } else if self.identity.is_some_and(|own| own != header.identity) {
            Some(Fault::OtherJournal)
        } else if header.first_sequence != self.next_sequence && !any_sequence {
            Some(Fault::Sequence { expected: self.next_sequence, found: header.first_sequence })
        } else {
            None
        }
    }

    fn batch<F: StorageFile>(
        &mut self,
        window: &mut Window<F>,
        position: u64,
        identity: u32,
        failed: &impl Fn(io::Error) -> ReadError,
        visit: &mut impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
    ) -> Result<Step, ReadError> {
        let suspect = |fault, ends_at| Step::Suspect(Suspicion { fault, position, ends_at });
        let bytes = window.at(position, BATCH_HEADER_BYTES).map_err(failed)?;
        if bytes.iter().all(|byte| *byte == 0) {
            let used = window.used_until(position).map_err(failed)?;
            return Ok(if used == position { Step::End } else { suspect(Fault::BytesAfterEnd, None) });
        }
        let Some(header) = BatchHeader::decode(bytes, identity) else {
            return Ok(suspect(Fault::BatchHeader, None));
        };
        let first_sequence = header.first_sequence;
        if first_sequence != self.next_sequence {
            return Ok(Step::Misplaced(Fault::Sequence { expected: self.next_sequence, found: first_sequence }));
        }
        if first_sequence > self.span.upto {
            return Ok(Step::Enough);
        }
        let begins_at = position + BATCH_HEADER_BYTES as u64;
        let ends_at = begins_at + u64::from(header.payload_bytes);
        if ends_at > window.length() {
            let fault = Fault::BatchCutShort { first_sequence };
            return Ok(suspect(fault, Some(ends_at)));
        }
        if header.last_sequence() <= self.span.after {
            self.next_sequence = header.last_sequence() + 1;
            self.contents.add_batch(&header, ends_at - position);
            return Ok(Step::Batch { ends_at });
        }
        let payload = window.at(begins_at, header.payload_bytes as usize).map_err(failed)?;
        if crc32c(payload) != header.payload_checksum {
            let fault = Fault::BatchPayload { first_sequence };
            return Ok(suspect(fault, Some(ends_at)));
        }
        let Some(records) = split_records(payload, header.records) else {
            return Ok(Step::Misplaced(Fault::RecordLengths { first_sequence }));
        };
        for record in records {
            let sequence = self.next_sequence;
            if (self.span.after + 1..=self.span.upto).contains(&sequence) {
                match visit(sequence, record) {
                    Ok(()) => {}
                    Err(source) if source.is::<Enough>() => {
                        (self.span.upto, self.next_sequence) = (sequence, sequence + 1);
                        return Ok(Step::Enough);
                    }
                    Err(source) => return Err(ReadError::Visit { sequence, source }),
                }
            }
            self.next_sequence += 1;
        }
        self.contents.add_batch(&header, ends_at - position);
        Ok(Step::Batch { ends_at })
    }

    fn judge<F: StorageFile>(
        &self,
        window: &mut Window<F>,
        file: &str,
        identity: u32,
        is_last: bool,
        suspicion: Suspicion,
    ) -> io::Result<Damage> {
        let position = suspicion.position;
        let used = window.used_until(position)?;
        let more_was_written = match suspicion.ends_at {
            _ if !is_last => true,
            Some(ends_at) => used > ends_at,
            None => self.later_batch_exists(window, identity, position, used)?,
        };
        Ok(Damage {
            file: file.to_owned(),
            position,
            bytes: used - position,
            fault: suspicion.fault,
            extent: if more_was_written { Extent::Middle } else { Extent::Tail },
        })
    }

    /// Looks at every byte after `position` for the header of a batch that could stand there.
    fn later_batch_exists<F: StorageFile>(
        &self,
        window: &mut Window<F>,
        identity: u32,
        position: u64,
        used: u64,
    ) -> io::Result<bool> {
        for candidate in position + 1..used {
            let bytes = window.at(candidate, BATCH_HEADER_BYTES)?;
            let Some(header) = bytes.first_chunk() else {
                return Ok(false);
            };
            // What lies between can have held at most this many records.
            let records = (candidate - position) / RECORD_HEADER_BYTES as u64;
            let claimed = BatchHeader::claimed_first_sequence(header);
            let plausible = (self.next_sequence..=self.next_sequence.saturating_add(records)).contains(&claimed);
            if plausible && BatchHeader::decode(header, identity).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn judge_header<F: StorageFile>(
        &mut self,
        window: &mut Window<F>,
        number: u32,
        is_last: bool,
    ) -> io::Result<Damage> {
        let used = window.used_until(0)?;
        let holds_nothing = used <= SEGMENT_HEADER_BYTES as u64;
        // Of a first segment above 1 only its header knew the next sequence.
        let can_be_remade = self.end.is_some() || number == FIRST_SEGMENT;
        self.end = Some(End { number, position: 0, last_batch: None });
        Ok(Damage {
            file: segment_name(number),
            position: 0,
            bytes: used,
            fault: Fault::SegmentHeader,
            extent: if is_last && holds_nothing && can_be_remade { Extent::Tail } else { Extent::Middle },
        })
    }
}

fn middle(file: &str, position: u64, fault: Fault) -> Damage {
    Damage { file: file.to_owned(), position, bytes: 0, fault, extent: Extent::Middle }
}
