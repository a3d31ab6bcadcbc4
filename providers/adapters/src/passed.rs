//! What a call passes through: the caller's own method, path and query.

use std::net::IpAddr;

use http::Method;

/// A call that is passed through; a plain invocation has none of this and is a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed<'a> {
    pub method: &'a Method,
    /// What came after the function's name, as it was sent: empty, or a path that begins with `/`.
    pub path: &'a str,
    /// As it was sent, without its `?`.
    pub query: Option<&'a str>,
    /// To whom the caller spoke, as its request says: a host, perhaps with a port. Told to agents only.
    pub host: Option<&'a str>,
    /// Where the caller is, if the provider is to know it. Told to agents only.
    pub remote: Option<IpAddr>,
}

impl<'a> Passed<'a> {
    pub const fn new(method: &'a Method, path: &'a str, query: Option<&'a str>) -> Passed<'a> {
        Passed { method, path, query, host: None, remote: None }
    }
}
