//! Targets of deployments: the URLs that a function's owner may name at a provider.
//!
//! A target that is a path is always at the provider's endpoint. One that is a URL is allowed below the endpoint, and
//! where a pattern of the provider's owner says so. Compares texts; never resolves a host. A URL that two readers could
//! understand differently is allowed nowhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Maximum patterns of a provider.
pub const TARGETS_MAX: usize = 32;
/// Maximum length of a pattern in bytes.
const PATTERN_MAX_BYTES: usize = 512;

/// A pattern of targets: a URL, or with `/*` at its end that URL and everything below it, by whole segments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPattern(String);

/// A text that is no pattern of targets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no pattern of targets, such as https://fn.example/* or https://fn.example/resize: an http or https URL of \
     at most {PATTERN_MAX_BYTES} bytes without a user, a query, a fragment, `..`, or an encoded slash or dot, and \
     with `*` only as its last segment"
)]
pub struct TargetPatternError(String);

impl TargetPattern {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the pattern allows this URL.
    pub fn matches(&self, url: &str) -> bool {
        match self.0.strip_suffix("/*") {
            Some(base) => is_below(base, url),
            None => Place::of(&self.0).is_some_and(|allowed| Place::of(url).as_ref() == Some(&allowed)),
        }
    }

    /// Returns true if the pattern allows this URL and every path below it.
    pub fn covers(&self, url: &str) -> bool {
        self.0.ends_with("/*") && self.matches(url)
    }
}

impl TryFrom<String> for TargetPattern {
    type Error = TargetPatternError;
    fn try_from(text: String) -> Result<TargetPattern, TargetPatternError> {
        let url = text.strip_suffix("/*").unwrap_or(&text);
        let is_pattern = text.len() <= PATTERN_MAX_BYTES && !url.contains(['*', '?']) && Place::of(url).is_some();
        if is_pattern { Ok(TargetPattern(text)) } else { Err(TargetPatternError(text)) }
    }
}

impl FromStr for TargetPattern {
    type Err = TargetPatternError;
    fn from_str(text: &str) -> Result<TargetPattern, TargetPatternError> {
        TargetPattern::try_from(text.to_owned())
    }
}

impl From<TargetPattern> for String {
    fn from(pattern: TargetPattern) -> String {
        pattern.0
    }
}

impl fmt::Display for TargetPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns true for a target that is a URL of its own, and no path at its provider's endpoint.
pub fn is_url_target(target: &str) -> bool {
    without_scheme(target).is_some()
}

/// Returns true if a target stays at an endpoint: it is no URL, or one below it, with the same scheme, host and port.
pub fn is_at_endpoint(endpoint: &str, target: &str) -> bool {
    !is_url_target(target) || is_below(endpoint, target)
}

/// Returns true if a path has, at any depth of encoding, an encoded slash, backslash or dot.
pub fn has_encoded_separator(path: &str) -> bool {
    let mut path = path.to_ascii_lowercase();
    while path.contains("%25") {
        path = path.replace("%25", "%");
    }
    ["%2f", "%5c", "%2e"].iter().any(|separator| path.contains(separator))
}

/// Returns true if a URL is `base`, or below it by whole segments of its path.
fn is_below(base: &str, url: &str) -> bool {
    let (Some(base), Some(url)) = (Place::of(base), Place::of(url)) else { return false };
    let is_there = (base.is_https, &base.host, base.port) == (url.is_https, &url.host, url.port);
    let rest = url.path.strip_prefix(base.path.trim_end_matches('/'));
    is_there && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The parts of a URL that decide which server answers, and for what.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    is_https: bool,
    /// In lower case.
    host: String,
    port: u16,
    /// Begins with `/`.
    path: &'a str,
}

impl<'a> Place<'a> {
    /// Reads a URL. None for one that readers could understand differently: with a user, a fragment, dot segments,
    /// encoded slashes or dots, or characters that belong into no URL.
    fn of(url: &'a str) -> Option<Place<'a>> {
        let (is_https, rest) = without_scheme(url)?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#'));
        let is_dot = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
        if !is_plain(path) || !is_plain(query) || path.split('/').any(is_dot) || has_encoded_separator(path) {
            return None;
        }
        let (host, port) = host_and_port(authority, if is_https { 443 } else { 80 })?;
        let path = if path.is_empty() { "/" } else { path };
        Some(Place { is_https, host: host.to_ascii_lowercase(), port, path })
    }
}

/// Splits the scheme off a URL. Returns whether it is https, and the rest.
fn without_scheme(url: &str) -> Option<(bool, &str)> {
    let rest = |scheme: &str| {
        let (start, rest) = url.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    rest("https://").map(|rest| (true, rest)).or_else(|| rest("http://").map(|rest| (false, rest)))
}

/// Reads a host, a name or an address, with a port or without. Refuses any other character, a user among them.
fn host_and_port(authority: &str, default_port: u16) -> Option<(&str, u16)> {
    let end = match authority.strip_prefix('[') {
        Some(address) => address.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let is_host = match host.strip_prefix('[') {
        Some(address) => {
            address.trim_end_matches(']').bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None if port.is_empty() => default_port,
        None => return None,
    };
    (is_host && port != 0).then_some((host, port))
}
