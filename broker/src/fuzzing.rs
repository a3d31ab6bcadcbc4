//! Entry points of the fuzz targets in `tests/fuzz`, hidden from the documentation.
//!
//! A hidden module and no feature: with a feature the whole broker would be compiled once more for the tests. It
//! decides nothing and is called by no production code.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::caller::sigv4::{Signed, SignedRequest};

/// A call and its parts that a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct SignedCall<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub host: &'a str,
    pub body: &'a [u8],
    /// The time of the check, in seconds since 1970.
    pub now_s: u64,
}

/// Returns true if `secret` signed the call. Headers that HTTP would refuse are left out.
pub fn is_signed_by(authorization: &str, call: &SignedCall<'_>, secret: &str) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in call.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    let Ok(signed) = Signed::read(authorization, &headers) else { return false };
    let SignedCall { method, path, query, host, body, .. } = *call;
    let request = SignedRequest { method, path, query, headers: &headers, host: host.as_bytes(), body };
    signed.check_time(call.now_s).and(signed.check(&request, secret)).is_ok()
}
