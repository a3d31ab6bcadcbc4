//! The URL of a call to a function server: the endpoint, the deployment's target, and the caller's path and query.
//!
//! A path never leaves the target, however a server may read it. Never resolves a host or checks its address.

use std::borrow::Cow;

use http::{Method, Uri};
use merit_terms::{TargetPattern, has_encoded_separator, is_at_endpoint, is_url_target};
use percent_encoding::percent_decode;

use crate::{Passed, ProviderCall};

/// Maximum length of a deployment's target in bytes.
pub const TARGET_MAX_BYTES: usize = 1024;
/// Maximum number of percent-encodings within each other; a path with more is refused.
const MAX_ENCODINGS: usize = 4;

/// A target that cannot be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("longer than {TARGET_MAX_BYTES} bytes")]
    Long,
    #[error("neither a path that begins with / nor an http or https URL")]
    Shape,
    #[error("a URL with a user name or password")]
    Credentials,
    #[error("a fragment; it is never sent")]
    Fragment,
    #[error("a URL with a port that is not 1 to 65535")]
    Port,
    #[error("a path that leaves where it begins")]
    Escapes,
    #[error("an encoded slash or dot in the path; servers read them differently")]
    Encoded,
}

impl TargetError {
    const fn as_str(self) -> &'static str {
        match self {
            TargetError::Long => "the target is too long",
            TargetError::Shape => "the target is neither a path nor an http or https URL",
            TargetError::Credentials => "the target has a user name or password",
            TargetError::Fragment => "the target has a fragment",
            TargetError::Port => "the target's port is not 1 to 65535",
            TargetError::Escapes => "the path of the target leaves where it begins",
            TargetError::Encoded => "the path of the target has an encoded slash or dot",
        }
    }
}

/// Checks the target of a deployment.
pub fn check_target(target: &str) -> Result<(), TargetError> {
    if target.len() > TARGET_MAX_BYTES {
        return Err(TargetError::Long);
    }
    if target.contains('#') {
        return Err(TargetError::Fragment);
    }
    if target.is_empty() {
        return Ok(());
    }
    let url: Uri = if is_url_target(target) {
        target.parse().map_err(|_| TargetError::Shape)?
    } else if target.starts_with('/') && !target.starts_with("//") {
        format!("http://endpoint{target}").parse().map_err(|_| TargetError::Shape)?
    } else {
        return Err(TargetError::Shape);
    };
    let authority = url.authority().filter(|authority| !authority.host().is_empty()).ok_or(TargetError::Shape)?;
    if authority.as_str().contains('@') {
        return Err(TargetError::Credentials);
    }
    if merit_terms::port_of(authority.as_str()).is_err() {
        return Err(TargetError::Port);
    }
    if escapes(url.path()) {
        return Err(TargetError::Escapes);
    }
    if has_encoded_separator(url.path()) { Err(TargetError::Encoded) } else { Ok(()) }
}

/// Refuses a target that is neither at the endpoint nor allowed by a pattern of the provider's owner. A pattern of one
/// URL allows no path further down.
fn check_place(call: &ProviderCall<'_>) -> Result<(), &'static str> {
    let goes_down = call.passed.is_some_and(|passed| !passed.path.is_empty());
    let allows = |pattern: &TargetPattern| match goes_down {
        true => pattern.covers(call.target),
        false => pattern.matches(call.target),
    };
    match is_at_endpoint(call.endpoint, call.target) || call.targets.iter().any(allows) {
        true => Ok(()),
        false => {
            Err("the provider's owner does not allow the target; its owner changes that, or the function's owner \
                      names a path at the endpoint")
        }
    }
}

/// Makes the URL of a call. An error says in words what is wrong.
pub(super) fn url(call: &ProviderCall<'_>) -> Result<Uri, &'static str> {
    check_target(call.target).map_err(TargetError::as_str)?;
    check_place(call)?;
    let base = if is_url_target(call.target) { Cow::Borrowed(call.target) } else { at_endpoint(call)? };
    let (base, base_query) = split_query(&base);
    let passed = call.passed.unwrap_or(Passed::new(&Method::POST, "", None));
    let path = further_down(base, passed.path)?;
    let query = match (base_query, passed.query) {
        (Some(own), Some(passed)) if !own.is_empty() => Some(format!("{own}&{passed}")),
        (own, passed) => passed.or(own).map(str::to_owned),
    };
    let url = query.map_or(path.clone(), |query| format!("{path}?{query}"));
    let url: Uri = url.parse().map_err(|_| "its URL is unusable")?;
    match url.scheme_str() {
        Some("http" | "https") if url.authority().is_some_and(|authority| !authority.as_str().contains('@')) => Ok(url),
        _ => Err("it is no http or https URL"),
    }
}

/// Returns the URL of a target that is a path or empty.
fn at_endpoint<'a>(call: &ProviderCall<'a>) -> Result<Cow<'a, str>, &'static str> {
    if call.endpoint.contains(['?', '#']) {
        return Err("it has a query or a fragment");
    }
    Ok(match call.target {
        "" => Cow::Borrowed(call.endpoint),
        path => Cow::Owned(format!("{}{path}", call.endpoint.trim_end_matches('/'))),
    })
}

/// Appends a path to `base` without empty segments. Refuses one that any server could read as leading up.
fn further_down(base: &str, path: &str) -> Result<String, &'static str> {
    if path.is_empty() {
        return Ok(base.to_owned());
    }
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err("the caller's path is none");
    }
    if escapes(path) {
        return Err("the caller's path leaves the function's");
    }
    let mut url = base.trim_end_matches('/').to_owned();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        url.push('/');
        url.push_str(segment);
    }
    // A server may tell `/a/` from `/a`.
    if path.ends_with('/') {
        url.push('/');
    }
    Ok(url)
}

/// Returns true if a path may lead up or nowhere for some server, however it is encoded: a segment `..` or `.`, also
/// with parameters (`..;x`), after a slash of either kind; or a control character.
fn escapes(path: &str) -> bool {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..MAX_ENCODINGS {
        if leads_up(&text) {
            return true;
        }
        let decoded: Vec<u8> = percent_decode(&text).collect();
        if decoded == text {
            return false;
        }
        text = decoded;
    }
    true
}

fn leads_up(path: &[u8]) -> bool {
    let up = |segment: &[u8]| {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        name == b"." || name == b".."
    };
    path.iter().any(u8::is_ascii_control) || path.split(|byte| matches!(byte, b'/' | b'\\')).any(up)
}

fn split_query(url: &str) -> (&str, Option<&str>) {
    url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)))
}
