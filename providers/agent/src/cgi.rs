//! A call that is passed through, as a CGI program sees it (RFC 3875): variables in, a document out.
//!
//! Owns the names and bounds of both. Pure. Never learns more of the caller than the broker says.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use merit_adapters::agent::PassedText;
use merit_adapters::{forwarded_answer_headers, forwarded_request_headers};
use percent_encoding::percent_decode_str;

/// Maximum number of variables made of headers; later headers are left out.
const HEADERS_MAX: usize = 128;
/// Maximum length in bytes of those variables, names and values together.
const HEADERS_MAX_BYTES: usize = 64 << 10;
/// Maximum length in bytes of a document's head.
const HEAD_MAX_BYTES: usize = 16 << 10;
/// Maximum number of lines in a document's head.
const HEAD_MAX_LINES: usize = 100;

/// Beginning of an output that is a document.
const STATUS: &[u8] = b"Status:";

/// Returns the variables of section 4.1, and one for each of the caller's headers.
pub(crate) fn variables(
    passed: &PassedText<'_>,
    function: &str,
    headers: &HeaderMap,
    payload_bytes: usize,
) -> Vec<(String, String)> {
    let (name, port) = server(passed.host);
    let text = |name: &HeaderName| headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let own = [
        ("GATEWAY_INTERFACE", Some("CGI/1.1".to_owned())),
        ("SERVER_SOFTWARE", Some(concat!("merit/", env!("CARGO_PKG_VERSION")).to_owned())),
        ("SERVER_PROTOCOL", Some("HTTP/1.1".to_owned())),
        ("SERVER_NAME", Some(name.to_owned())),
        ("SERVER_PORT", Some(port.to_owned())),
        ("REQUEST_METHOD", Some(passed.method.to_owned())),
        ("SCRIPT_NAME", Some(format!("/fn/{function}"))),
        ("PATH_INFO", Some(decoded(passed.path))),
        ("QUERY_STRING", Some(passed.query.unwrap_or_default().to_owned())),
        ("REMOTE_ADDR", passed.remote.map(|remote| remote.to_string())),
        ("CONTENT_TYPE", text(&CONTENT_TYPE).map(str::to_owned)),
        ("CONTENT_LENGTH", (payload_bytes > 0).then(|| payload_bytes.to_string())),
        ("HTTP_HOST", passed.host.map(str::to_owned)),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    own.chain(of_headers(headers)).collect()
}

/// Splits the host that the caller named into name and port. Returns `localhost` and the port of HTTP where unknown.
fn server(host: Option<&str>) -> (&str, &str) {
    let host = host.filter(|host| !host.is_empty()).unwrap_or("localhost");
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port),
        _ => (host, "80"),
    }
}

/// Returns a variable `HTTP_*` for each header, with several of one name as one list. Leaves out `Proxy`, which
/// programs take for their own proxy (httpoxy), names with `_`, which could pass for others, and headers with a
/// variable of their own.
fn of_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let headers = forwarded_request_headers(headers);
    let kept_back = [CONTENT_TYPE, CONTENT_LENGTH, PROXY_AUTHORIZATION, HeaderName::from_static("proxy")];
    let (mut variables, mut bytes) = (Vec::new(), 0);
    for name in headers.keys().filter(|name| !kept_back.contains(name) && !name.as_str().contains('_')) {
        let values = headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()));
        let Ok(values) = values.collect::<Result<Vec<_>, _>>() else { continue };
        let variable = format!("HTTP_{}", name.as_str().to_ascii_uppercase().replace('-', "_"));
        let value = values.join(if name == COOKIE { "; " } else { ", " });
        bytes += variable.len() + value.len();
        if variables.len() == HEADERS_MAX || bytes > HEADERS_MAX_BYTES {
            break;
        }
        variables.push((variable, value));
    }
    variables
}

/// Decodes the path. Returns it as it was sent if the result is no text for a variable.
fn decoded(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8();
    decoded.ok().filter(|decoded| !decoded.contains(char::is_control)).map_or_else(|| path.to_owned(), Cow::into_owned)
}

/// An output with its own status and headers.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Reads an output as a document. Returns `None` unless it begins with `Status:` and has a whole, well-formed head;
/// then every byte is the body.
pub(crate) fn document(output: &Bytes) -> Option<Document> {
    if !output.starts_with(STATUS) {
        return None;
    }
    let (head, body_at) = head(output)?;
    let (mut status, mut headers) = (None, HeaderMap::new());
    for line in head {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = value.trim_matches([' ', '\t']);
        if name == "status" {
            let earlier = status.replace(read_status(value)?);
            if earlier.is_some() {
                return None;
            }
        } else {
            headers.append(name, HeaderValue::from_str(value).ok()?);
        }
    }
    Some(Document { status: status?, headers: forwarded_answer_headers(&headers), body: output.slice(body_at..) })
}

/// Returns the lines up to the blank one, and the position of the body after it.
fn head(output: &[u8]) -> Option<(Vec<&str>, usize)> {
    let (mut lines, mut at) = (Vec::new(), 0);
    let bounded = &output[..output.len().min(HEAD_MAX_BYTES)];
    while lines.len() < HEAD_MAX_LINES {
        let length = bounded[at..].iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&bounded[at..at + length]).ok()?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        at += length + 1;
        if line.is_empty() {
            return Some((lines, at));
        }
        lines.push(line);
    }
    None
}

/// Reads `404` or `404 Not Found`.
fn read_status(value: &str) -> Option<StatusCode> {
    let digits = value.split_once(' ').map_or(value, |(digits, _)| digits);
    let status = StatusCode::from_bytes(digits.as_bytes()).ok()?;
    (200..600).contains(&status.as_u16()).then_some(status)
}

#[cfg(test)]
#[path = "../tests/unit/cgi.rs"]
mod tests;
