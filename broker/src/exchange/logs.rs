//! Functions' logs, from the archive.

use merit_proto::v1;
use merit_terms::{LeaseId, Outcome, Time};

use super::clients::{Exchange, answer};
use super::past::{ListPage, Past, micros};
use crate::error::ApiError;

/// The end of what a function wrote to its standard error in one attempt.
#[derive(Debug)]
pub(crate) struct FunctionLog {
    pub(crate) sequence: u64,
    pub(crate) at: Time,
    pub(crate) function: String,
    pub(crate) invocation: Option<LeaseId>,
    pub(crate) provider: String,
    /// None for an outcome that this broker does not know.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) log: Vec<u8>,
}

impl Exchange {
    /// Returns the logs of a function within `past` and after a sequence.
    pub(crate) async fn logs(
        &self,
        account: &str,
        function: String,
        past: Past,
        after: Option<u64>,
    ) -> Result<ListPage<FunctionLog>, ApiError> {
        let request = v1::ListLogsRequest {
            account: account.to_owned(),
            function: function.clone(),
            from: micros(past.from),
            to: micros(past.to),
            limit: past.limit.unwrap_or(0),
            before: past.before.unwrap_or(0),
            after: after.unwrap_or(0),
        };
        match answer(self.archive.clone().list_logs(request)).await {
            Ok(listed) => Ok(ListPage::of(listed.logs, listed.next)),
            Err(error) => Err(self.near_function(error, account, &function).await),
        }
    }
}

impl From<v1::FunctionLog> for FunctionLog {
    fn from(log: v1::FunctionLog) -> FunctionLog {
        FunctionLog {
            sequence: log.sequence,
            at: Time::from_micros(log.at),
            outcome: Outcome::try_from(log.outcome()).ok(),
            function: log.function,
            invocation: log.invocation.map(Into::into),
            provider: log.provider,
            log: log.log,
        }
    }
}
