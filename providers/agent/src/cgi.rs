//! A call that is passed through, as a CGI program sees it (RFC 3875): variables in, a document out.
//!
//! Owns the names and bounds of both. Pure; never learns who calls beyond what the broker says.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use merit_adapters::agent::PassedText;
use merit_adapters::{forwarded_answer_headers, forwarded_request_headers};

/// The most variables made of headers, and the most bytes of their names and values; what comes after is left out.
const HEADERS_MAX: usize = 128;
const HEADERS_MAX_BYTES: usize = 64 << 10;
/// The most bytes and lines before the blank line of a document.
const HEAD_MAX_BYTES: usize = 16 << 10;
const HEAD_MAX_LINES: usize = 100;

/// What begins an output that is a document.
const STATUS: &[u8] = b"Status:";

/// The variables of section 4.1, and one for each of the caller's headers.
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

/// To whom the caller spoke, and at which port; some name and the port of HTTP, if it is not known.
fn server(host: Option<&str>) -> (&str, &str) {
    let host = host.filter(|host| !host.is_empty()).unwrap_or("localhost");
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port),
        _ => (host, "80"),
    }
}

/// `HTTP_*` of each header: several of one name as one list. Left out are `Proxy`, which programs take for their own proxy
/// (httpoxy), names with `_`, which could pass for others, and what has a variable of its own.
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

/// The path with its encoding undone; as it was sent, where that would be no text for a variable.
fn decoded(path: &str) -> String {
    let decoded = String::from_utf8(merit_adapters::http::decoded(path.as_bytes()));
    decoded.ok().filter(|decoded| !decoded.contains(char::is_control)).unwrap_or_else(|| path.to_owned())
}

/// An output that says its own status and headers.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The document that an output is: only one that begins with `Status:` and whose head is whole and well-formed. Of any
/// other output every byte is the body.
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

/// The lines up to the blank one, and where the body begins after it.
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

/// `404` or `404 Not Found`.
fn read_status(value: &str) -> Option<StatusCode> {
    let digits = value.split_once(' ').map_or(value, |(digits, _)| digits);
    let status = StatusCode::from_bytes(digits.as_bytes()).ok()?;
    (200..600).contains(&status.as_u16()).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: PassedText<'static> = PassedText {
        method: "GET",
        path: "/a%20b/c",
        query: Some("q=%20"),
        host: Some("api.example:8443"),
        remote: None,
    };

    fn headers(headers: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    fn variable(passed: &PassedText<'_>, sent: &[(&str, &str)], name: &str) -> Option<String> {
        let mut all = variables(passed, "thumb", &headers(sent), 5).into_iter();
        let found = all.find(|(variable, _)| variable == name).map(|(_, value)| value);
        assert!(all.all(|(variable, _)| variable != name), "{name} stands there twice");
        found
    }

    #[test]
    fn a_call_is_told_as_the_standard_says() {
        let sent = [("content-type", "text/plain"), ("x-own", "1"), ("x-own", "2"), ("cookie", "a"), ("cookie", "b")];
        for (name, value) in [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_NAME", "api.example"),
            ("SERVER_PORT", "8443"),
            ("REQUEST_METHOD", "GET"),
            ("SCRIPT_NAME", "/fn/thumb"),
            ("PATH_INFO", "/a b/c"),
            ("QUERY_STRING", "q=%20"),
            ("CONTENT_TYPE", "text/plain"),
            ("CONTENT_LENGTH", "5"),
            ("HTTP_HOST", "api.example:8443"),
            ("HTTP_X_OWN", "1, 2"),
            ("HTTP_COOKIE", "a; b"),
        ] {
            assert_eq!(variable(&GET, &sent, name).as_deref(), Some(value), "{name}");
        }
        for name in ["REMOTE_ADDR", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"] {
            assert_eq!(variable(&GET, &sent, name), None, "{name}");
        }
        let bare = PassedText { path: "", query: None, host: None, remote: Some([10, 0, 0, 9].into()), ..GET };
        for (name, value) in
            [("SERVER_NAME", "localhost"), ("SERVER_PORT", "80"), ("QUERY_STRING", ""), ("REMOTE_ADDR", "10.0.0.9")]
        {
            assert_eq!(variable(&bare, &[], name).as_deref(), Some(value), "{name}");
        }
    }

    #[test]
    fn no_header_passes_for_what_it_is_not() {
        let sent = [("proxy", "http://evil"), ("proxy-authorization", "x"), ("x_own", "1"), ("merit-lease", "t")];
        for name in ["HTTP_PROXY", "HTTP_PROXY_AUTHORIZATION", "HTTP_X_OWN", "HTTP_MERIT_LEASE"] {
            assert_eq!(variable(&GET, &sent, name), None, "{name}");
        }
    }

    #[test]
    fn a_path_is_decoded_where_it_stays_text() {
        let path = |path| variable(&PassedText { path, ..GET }, &[], "PATH_INFO").unwrap();
        for (sent, told) in [("", ""), ("/%C3%A9", "/\u{e9}"), ("/%ff", "/%ff"), ("/%00", "/%00"), ("/%0a", "/%0a")] {
            assert_eq!(path(sent), told, "{sent}");
        }
    }

    #[test]
    fn the_variables_of_headers_are_bounded() {
        let many: Vec<String> = (0..HEADERS_MAX + 9).map(|number| format!("x-{number}")).collect();
        let sent: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(of_headers(&headers(&sent)).len(), HEADERS_MAX);
        let long = "v".repeat(HEADERS_MAX_BYTES / 2);
        assert_eq!(of_headers(&headers(&[("a", &long), ("b", &long), ("c", "x")])).len(), 1);
    }

    fn read(output: &str) -> Option<(u16, Vec<String>, String)> {
        let Document { status, headers, body } = document(&Bytes::copy_from_slice(output.as_bytes()))?;
        let headers = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        Some((status.as_u16(), headers.collect(), String::from_utf8(body.to_vec()).unwrap()))
    }

    #[test]
    fn an_output_that_begins_with_a_status_is_a_document() {
        let said = |status, headers: &[&str], body: &str| {
            Some((status, headers.iter().map(|header| (*header).to_owned()).collect::<Vec<_>>(), body.to_owned()))
        };
        assert_eq!(
            read("Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno"),
            said(404, &["content-type: text/plain"], "no")
        );
        assert_eq!(read("Status:204\n\n"), said(204, &[], ""));
        assert_eq!(read("Status: 200\nX-A: 1\nX-A:2 \n\na\n\nb"), said(200, &["x-a: 1", "x-a: 2"], "a\n\nb"));
        assert_eq!(read("Status: 200\nMerit-Cost: 0\nConnection: x\nContent-Length: 9\n\nb"), said(200, &[], "b"));
    }

    #[test]
    fn any_other_output_is_its_body() {
        let many = format!("Status: 200\n{}\n", "X: y\n".repeat(HEAD_MAX_LINES));
        let long = format!("Status: 200\nX: {}\n\n", "y".repeat(HEAD_MAX_BYTES));
        for output in [
            "",
            "plain",
            "status: 200\n\n",
            "\nStatus: 200\n\n",
            "Content-Type: text/plain\n\nStatus: 200",
            "Status: 200",
            "Status: 200\n",
            "Status: 200\nX: y",
            "Status: 99\n\n",
            "Status: 101\n\n",
            "Status: 600\n\n",
            "Status: ok\n\n",
            "Status: 200\nStatus: 201\n\n",
            "Status: 200\nno colon\n\n",
            "Status: 200\nb d: x\n\n",
            "Status: 200\nX: a\u{1}b\n\n",
            many.as_str(),
            long.as_str(),
        ] {
            assert_eq!(read(output), None, "{output}");
        }
    }
}
