//! A call as a broker makes it to a provider, whatever the adapter. Never says which of its parts an adapter sends.

use std::net::IpAddr;

use http::Method;
use http::header::{HeaderMap, HeaderName};
use merit_terms::{LeaseId, TargetPattern, Time};

/// Header of the invocation's id: the lease of its first attempt.
pub const INVOCATION_ID: HeaderName = HeaderName::from_static("merit-invocation-id");

/// Header of the chain of calls that led to an invocation: a function passes it on with the calls that it makes.
pub const VIA: HeaderName = HeaderName::from_static("merit-via");

/// One attempt at one invocation.
#[derive(Clone, Copy, Debug)]
pub struct ProviderCall<'a> {
    /// The provider's base URL, with or without a trailing `/`.
    pub endpoint: &'a str,
    /// The deployment's target: a path at the endpoint, perhaps with a query; a URL of its own; or empty.
    pub target: &'a str,
    /// The provider's patterns of targets beside those at its endpoint.
    pub targets: &'a [TargetPattern],
    pub account: &'a str,
    pub function: &'a str,
    pub revision: u32,
    /// Text of the lease's token.
    pub token: &'a str,
    /// Text of the exchange's proof of the lease, by which the provider claims; empty for none.
    pub proof: &'a str,
    pub invocation: LeaseId,
    pub deadline: Option<Time>,
    /// `None` for a plain invocation.
    pub passed: Option<Passed<'a>>,
    /// Text of the chain of calls that led here, this one included.
    pub via: Option<&'a str>,
    /// The caller's headers, without those that may not be passed on.
    pub headers: &'a HeaderMap,
}

/// The caller's own method, path and query, in a call that is passed through. A plain invocation is a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed<'a> {
    pub method: &'a Method,
    /// The path after the function's name, as it was sent: empty, or beginning with `/`.
    pub path: &'a str,
    /// The query as it was sent, without its `?`.
    pub query: Option<&'a str>,
    /// The host that the caller named, perhaps with a port. Shown to agents only.
    pub host: Option<&'a str>,
    /// The caller's address, if the provider may know it. Shown to agents only.
    pub remote: Option<IpAddr>,
}

/// A provider that cannot be called; nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("no request can be made for {endpoint}: {why}")]
pub struct RequestError {
    pub(crate) endpoint: String,
    pub(crate) why: &'static str,
    pub(crate) source: Option<http::Error>,
}

impl ProviderCall<'_> {
    /// Returns the error of a call for which no request can be made.
    pub(crate) fn error(&self, why: &'static str, source: Option<http::Error>) -> RequestError {
        RequestError { endpoint: self.endpoint.to_owned(), why, source }
    }
}

impl<'a> Passed<'a> {
    /// Makes a call that names neither the host nor the address of its caller.
    pub const fn new(method: &'a Method, path: &'a str, query: Option<&'a str>) -> Passed<'a> {
        Passed { method, path, query, host: None, remote: None }
    }
}
