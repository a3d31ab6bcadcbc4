//! Reads a journal from its first byte to its last, checks everything, and judges what is wrong.
//!
//! The rule, which opening, verifying and reading share. A batch is written only after the one before it is durable,
//! and a segment appears under its name only with a durable header, after all batches of the one before. So a crash can
//! damage the last batch and nothing else, and damage is the tail of an interrupted write only if nothing was written
//! after it:
//!
//! - In any segment but the last, it is in the middle.
//! - If the batch's header is valid, it says where the batch ends: a byte after that which is not zero is the trace of
//!   a later write.
//! - If it is not, the rest of the file is searched at every byte for a valid later batch header. One that passes its
//!   checksum with a sequence that could stand there proves a later write.
//! - A segment without a valid header is a tail only if it is the last and holds nothing else.
//! - Whole batches with the wrong sequence are never the work of a crash.
//!
//! Known limits. If the header of the last batch but one and that of the last are both destroyed, nothing tells them
//! from one torn write, and both are cut, with a message. A newest segment file that somebody cut off or removed looks
//! like a shorter journal. It never writes.
//!
//! A reader that wants only some records names their [`Span`]: segments and batches before it are stepped over by their
//! headers, without a look at their payloads, and the walk ends behind it.

mod judge;

use std::io;

use crate::batch::records_in;
use crate::damage::{Damage, Extent, Fault};
use crate::format::{
    BATCH_HEADER_BYTES, BatchHeader, FIRST_SEGMENT, FIRST_SEQUENCE, ReadHeader, SEGMENT_HEADER_BYTES, SegmentHeader,
    segment_name,
};
use crate::report::{Contents, Enough, ReadError, SegmentContents, VisitError};
use crate::segments::{first_wanted, numbers};
use crate::storage::{Storage, StorageFile};
use crate::window::Window;

use judge::{BatchExpected, Suspicion, judge, judge_header};

/// The findings, up to the end or to the damage.
pub(crate) struct Walk {
    span: Span,
    pub(crate) contents: Contents,
    /// None before the first valid segment header.
    pub(crate) identity: Option<u32>,
    pub(crate) next_sequence: u64,
    /// The segment read last and its valid part; none if there is no segment.
    pub(crate) end: Option<End>,
    pub(crate) damage: Option<Damage>,
}

pub(crate) struct End {
    pub(crate) number: u32,
    /// The position of the next batch; 0 if the segment has no valid header.
    pub(crate) position: u64,
    /// The position of the last batch of this segment.
    pub(crate) last_batch: Option<u64>,
}

/// The wanted records: those above `after`, up to and with `upto`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) after: u64,
    pub(crate) upto: u64,
}

impl Span {
    pub(crate) const ALL: Span = Span { after: 0, upto: u64::MAX };

    fn contains(self, sequence: u64) -> bool {
        self.after < sequence && sequence <= self.upto
    }
}

/// The outcome of reading at one position of a segment.
enum Step {
    Batch {
        ends_at: u64,
    },
    End,
    /// All wanted records are read.
    Enough,
    Suspect(Suspicion),
    /// Whole, and not the batch that belongs here.
    Misplaced(Fault),
}

/// Gives every valid record of the span to `visit`, in order, until its end, the first damage, or a refusal.
pub(crate) fn walk<S: Storage>(
    storage: &S,
    span: Span,
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), VisitError>,
) -> Result<Walk, ReadError> {
    let all = numbers(storage)?;
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
                // Of a first segment above 1 only its header knew the next sequence.
                let can_be_remade = is_last && (self.end.is_some() || number == FIRST_SEGMENT);
                self.end = Some(End { number, position: 0, last_batch: None });
                return judge_header(&mut window, &name, can_be_remade).map(Some).map_err(failed);
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
                    let expected = BatchExpected { identity: header.identity, sequence: self.next_sequence };
                    break Some(judge(&mut window, &name, expected, is_last, suspicion).map_err(failed)?);
                }
            }
        };
        self.end = Some(End { number, position, last_batch });
        Ok(damage)
    }

    fn misplaced_segment(&self, number: u32, header: SegmentHeader) -> Option<Fault> {
        let is_first = self.end.is_none();
        // A journal may begin late, when what a snapshot covers was removed; never its segment 1.
        let any_sequence = is_first && number != FIRST_SEGMENT && header.first_sequence >= FIRST_SEQUENCE;
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
        let records = match records_in(&header, payload) {
            Ok(records) => records,
            Err(fault @ Fault::BatchPayload { .. }) => return Ok(suspect(fault, Some(ends_at))),
            Err(fault) => return Ok(Step::Misplaced(fault)),
        };
        for record in records {
            let sequence = self.next_sequence;
            if self.span.contains(sequence) {
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
}

fn middle(file: &str, position: u64, fault: Fault) -> Damage {
    Damage { file: file.to_owned(), position, bytes: 0, fault, extent: Extent::Middle }
}
