//! The canonical form of a request's path, query and header values, over which a signature is made.
//!
//! Works on bytes: two requests that differ in a byte differ here, but for what AWS makes equal (runs of spaces, the
//! order of parameters, and the percent-encoding of a byte).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Parameter of a presigned URL with the signature itself, which no signature covers.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// Returns the path without empty, `.` and `..` segments, as the SDKs sign it. Its encoding stays.
pub(in crate::caller) fn normalized_path(path: &str) -> Cow<'_, str> {
    let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
    let inner = path.strip_prefix('/').unwrap_or(path);
    if path == "/" || !inner.strip_suffix('/').unwrap_or(inner).split('/').any(is_odd) {
        return Cow::Borrowed(path);
    }
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let last = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    Cow::Owned(format!("/{}{last}", kept.join("/")))
}

/// Returns the path as it is signed: its raw bytes encoded once more.
pub(super) fn path(raw: &str) -> String {
    encode(normalized_path(raw).as_bytes(), true)
}

/// Returns the parameters of the query in canonical order and encoding. A `+` is a space, as the doors read it.
pub(super) fn query(raw: &str) -> String {
    let encoded = |text: &str| encode(&percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>(), false);
    sorted(raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (encoded(name), encoded(value))
    }))
}

/// Returns the parameters of the query in canonical order, each as it was sent: so botocore signs a query that stands
/// in the URL already.
pub(super) fn query_as_sent(raw: &str) -> String {
    if raw.is_empty() {
        return String::new();
    }
    sorted(raw.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    }))
}

fn sorted(pairs: impl Iterator<Item = (String, String)>) -> String {
    let mut pairs: Vec<(String, String)> = pairs.filter(|(name, _)| name != SIGNATURE_PARAMETER).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Appends a header's value without spaces at its ends, and with runs of spaces inside shortened to one.
pub(super) fn push_value(canonical: &mut Vec<u8>, value: &[u8]) {
    for byte in value.trim_ascii() {
        if *byte != b' ' || canonical.last() != Some(&b' ') {
            canonical.push(*byte);
        }
    }
}

/// Percent-encodes all bytes but the unreserved of RFC 3986; `/` stays in a path.
fn encode(bytes: &[u8], is_path: bool) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push((*byte).into()),
            b'/' if is_path => encoded.push('/'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
