//! Queries of the archive: their limit and stretch of time, and the error of an archive that cannot answer.

use merit_proto::FieldError;
use merit_terms::Time;
use tonic::Status;

use crate::archive::ArchiveError;

/// Maps an archive's error to a status.
pub(super) fn past(error: ArchiveError) -> Status {
    let text = crate::error_chain::chain(&error);
    match error {
        ArchiveError::Behind { .. } | ArchiveError::Failed(_) => Status::aborted(text),
        ArchiveError::Read(_) => Status::internal(text),
    }
}

/// Reads a limit; `default` for 0. Refuses more than `most`.
pub(super) fn limit(asked: u32, default: usize, most: usize) -> Result<usize, Status> {
    match asked as usize {
        0 => Ok(default),
        limit if limit <= most => Ok(limit),
        limit => Err(FieldError::new("limit", format!("{limit}; at most {most}")).into()),
    }
}

/// Reads a stretch of time: from one time on and before another, without a bound for 0.
pub(super) fn stretch(from: u64, to: u64) -> Result<(Option<Time>, Option<Time>), Status> {
    let time = |micros: u64| (micros > 0).then(|| Time::from_micros(micros));
    match (time(from), time(to)) {
        (Some(from), Some(to)) if from > to => {
            Err(FieldError::new("from", format!("{from} is after `to`, {to}")).into())
        }
        stretch => Ok(stretch),
    }
}
