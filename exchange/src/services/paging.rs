//! What is asked of the archive: how many, of what time; and what is answered when it cannot be asked.

use merit_proto::FieldError;
use merit_terms::Time;
use tonic::Status;

use crate::archive::ArchiveError;

/// An archive that cannot be asked now; it may be later.
pub(super) fn past(error: ArchiveError) -> Status {
    let text = crate::sequencer::chain(&error);
    match error {
        ArchiveError::Behind { .. } | ArchiveError::Failed(_) => Status::aborted(text),
        ArchiveError::Read(_) => Status::internal(text),
    }
}

/// How many are asked for: `default` for 0.
pub(super) fn limit(asked: u32, default: usize, most: usize) -> Result<usize, Status> {
    match asked as usize {
        0 => Ok(default),
        limit if limit <= most => Ok(limit),
        limit => Err(FieldError::new("limit", format!("{limit}; at most {most}")).into()),
    }
}

/// From one time on and before another; 0: no bound.
pub(super) fn stretch(from: u64, to: u64) -> Result<(Option<Time>, Option<Time>), Status> {
    let time = |micros: u64| (micros > 0).then(|| Time::from_micros(micros));
    match (time(from), time(to)) {
        (Some(from), Some(to)) if from > to => {
            Err(FieldError::new("from", format!("{from} is after `to`, {to}")).into())
        }
        stretch => Ok(stretch),
    }
}
