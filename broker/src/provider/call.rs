//! A call as its attempts send it.

use std::net::IpAddr;
use std::sync::Arc;

use merit_adapters::Passed;

use super::payload::Payload;
use crate::limits::{BUFFERED_MAX_BYTES, PAYLOAD_MAX_BYTES, STREAMED_MAX_BYTES};

/// The parts of a call that every attempt sends.
#[derive(Clone, Debug)]
pub(crate) struct FunctionCall {
    pub(crate) account: Arc<str>,
    pub(crate) function: String,
    /// Headers of the caller that the function may see.
    pub(crate) headers: http::HeaderMap,
    /// Set for a call that is passed through.
    pub(crate) request: Option<PassedThrough>,
    pub(crate) payload: Payload,
    pub(crate) wanted: Wanted,
    /// The chain of calls: the caller's, and once the invocation is admitted that of the calls that it leads to.
    pub(crate) via: Option<String>,
}

/// A request that is passed through, as the function sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PassedThrough {
    pub(crate) method: http::Method,
    /// Raw path after the function's name: empty, or a path that begins with `/`.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) remote: Option<IpAddr>,
}

impl PassedThrough {
    pub(super) fn borrowed(&self) -> Passed<'_> {
        Passed {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            host: self.host.as_deref(),
            remote: self.remote,
        }
    }
}

/// The form in which a door takes answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Whole, up to 6 MB.
    Whole,
    /// As it comes, unless it fits the buffer.
    AsItComes,
}

impl Wanted {
    /// Returns the largest answer, in bytes.
    pub(crate) const fn answer_max_bytes(self) -> usize {
        match self {
            Wanted::Whole => PAYLOAD_MAX_BYTES,
            Wanted::AsItComes => STREAMED_MAX_BYTES,
        }
    }

    /// Returns the buffer of an answer, in bytes.
    pub(super) const fn buffer_bytes(self) -> usize {
        match self {
            Wanted::Whole => PAYLOAD_MAX_BYTES,
            Wanted::AsItComes => BUFFERED_MAX_BYTES,
        }
    }
}
