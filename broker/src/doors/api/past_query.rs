//! Queries over the past: from when, until when, how many rows, before which sequence.

use merit_terms::Time;
use serde::Deserialize;

use crate::error::ApiError;
use crate::exchange::past::Past;

/// A query as it was sent. A part that is left out sets no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PastQuery {
    from: Option<Time>,
    to: Option<Time>,
    limit: Option<u32>,
    before: Option<u64>,
}

impl PastQuery {
    /// Refuses bounds that are no bounds, and a limit that is not from 1 to `most`.
    pub(super) fn checked(self, most: u32) -> Result<Past, ApiError> {
        let PastQuery { from, to, limit, before } = self;
        check(from, to, limit, most)?;
        Ok(Past { from, to, limit, before })
    }
}

/// Most records in one answer.
const RECORDS_MAX: u32 = 1_000;

/// Checks the query of a page. Its cursor is the `next` of the page before.
pub(super) fn paged(
    from: Option<Time>,
    to: Option<Time>,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Past, ApiError> {
    check(from, to, limit, RECORDS_MAX)?;
    let wrong = |cursor| ApiError::malformed(format!("cursor: `{cursor}` is not the `next` of a page"));
    let before = cursor.map(|cursor| cursor.parse().map_err(|_| wrong(cursor))).transpose()?;
    Ok(Past { from, to, limit, before })
}

/// Refuses an empty stretch of time, and a limit that is not from 1 to `most`.
pub(super) fn check(from: Option<Time>, to: Option<Time>, limit: Option<u32>, most: u32) -> Result<(), ApiError> {
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(ApiError::malformed(format!("from: {from} is after `to`, {to}")));
    }
    match limit {
        Some(limit) if limit == 0 || limit > most => {
            Err(ApiError::malformed(format!("limit: {limit}; from 1 to {most}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/doors/api/past_query.rs"]
mod tests;
