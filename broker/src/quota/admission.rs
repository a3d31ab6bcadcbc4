//! Admission: the quotas on invocations and on market streams at once, for one account and for all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::error::{ApiError, ErrorCode};
use crate::metrics::Metrics;
use merit_listener::{Full, Holder, Share, Shares, descriptors};

/// Invocations at once; more are turned away. At most one for three open files, since each may have a connection to its
/// provider.
const INVOCATIONS_MAX: usize = 8_192;
const OPEN_FILES_PER_INVOCATION: usize = 3;
/// Market streams at once of one account, or of one address without a key.
const HOLDER_STREAMS_MAX: usize = 64;
/// Market streams at once of all.
const STREAMS_MAX: usize = 4_096;
/// `Retry-After` of a refused market stream.
const STREAM_RETRY_AFTER: Duration = Duration::from_secs(10);

/// The quotas of this broker.
pub(crate) struct Admission {
    is_keyless: bool,
    invocations_max: usize,
    room: Arc<Semaphore>,
    by_account: Shares<Arc<str>>,
    streams: Shares<Holder>,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
}

/// Room for one invocation, until it is dropped.
pub(crate) struct Admitted {
    _permit: OwnedSemaphorePermit,
    _of_account: Option<Share<Arc<str>>>,
}

impl Admission {
    /// Without keys all callers are one account, which has no quota of its own.
    pub(crate) fn new(is_keyless: bool, metrics: Arc<Metrics>, stopping: CancellationToken) -> Admission {
        let for_files = descriptors::for_connections() / OPEN_FILES_PER_INVOCATION;
        let invocations_max = INVOCATIONS_MAX.min(for_files).max(1);
        Admission {
            is_keyless,
            invocations_max,
            room: Arc::new(Semaphore::new(invocations_max)),
            // One account leaves half to others.
            by_account: Shares::new(invocations_max.div_ceil(2), usize::MAX),
            streams: Shares::new(HOLDER_STREAMS_MAX, STREAMS_MAX),
            metrics,
            stopping,
        }
    }

    /// Takes room for an invocation of the account. Refuses while the broker drains.
    pub(crate) fn invocation(&self, account: &Arc<str>) -> Result<Admitted, ApiError> {
        if self.stopping.is_cancelled() {
            return Err(ApiError::unavailable("this broker is draining; another serves"));
        }
        let overloaded = |_| {
            self.metrics.shed();
            ApiError::overloaded("too many invocations are under way here; try again shortly")
        };
        let _permit = self.room.clone().try_acquire_owned().map_err(overloaded)?;
        let share = || self.by_account.take(account.clone(), 1);
        let _of_account = (!self.is_keyless).then(share).transpose().map_err(|_| {
            self.metrics.shed();
            let message = "too many invocations of this account are under way here; try again shortly";
            ApiError::new(ErrorCode::TooManyCalls, message)
        })?;
        Ok(Admitted { _permit, _of_account })
    }

    /// Takes room for a market stream.
    pub(crate) fn stream(&self, holder: Holder) -> Result<Share<Holder>, ApiError> {
        self.streams.take(holder, 1).map_err(|full| match full {
            Full::Each => {
                let message =
                    format!("an account, or an address without a key, has at most {HOLDER_STREAMS_MAX} streams");
                ApiError::new(ErrorCode::TooManyStreams, message).retry_after(STREAM_RETRY_AFTER)
            }
            Full::All => ApiError::overloaded("too many stream the market here").retry_after(STREAM_RETRY_AFTER),
        })
    }

    /// Returns the number of invocations under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.invocations_max.saturating_sub(self.room.available_permits())
    }
}

#[cfg(test)]
#[path = "../../tests/unit/quota/admission.rs"]
pub(crate) mod tests;
