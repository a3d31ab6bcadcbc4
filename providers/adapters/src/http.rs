//! A plain function server at a URL: any HTTP server that answers a request. It knows nothing of Merit.
//!
//! Where a call goes is the provider's endpoint and the deployment's target, whatever the caller asks: its path only goes
//! further down from there. A function's answer is its own with every status but those by which servers and gateways
//! say that it was not reached.

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::uri::Uri;
use http::{Method, Request, StatusCode};
use merit_terms::{LeaseId, Outcome, Time};

use crate::agent::INVOCATION_ID;
use crate::headers::forwarded_answer_headers;
use crate::{Answer, Passed, Report, RequestError};

/// Carries the time by which an answer is wanted, in UTC as RFC 3339 has it.
pub const DEADLINE: HeaderName = HeaderName::from_static("merit-deadline");
/// The most bytes of a deployment's target.
pub const TARGET_MAX_BYTES: usize = 1024;
/// How often a text may be encoded within itself before it is taken for a trick.
const DECODED_AT_MOST: usize = 4;

/// One attempt at one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The provider's base URL, with or without a `/` at its end.
    pub endpoint: &'a str,
    /// Where the function is at the endpoint: a path, with a query if need be; a URL of its own; or nothing.
    pub target: &'a str,
    /// None: a plain invocation.
    pub passed: Option<Passed<'a>>,
    /// The caller's, those taken out that may not be passed on.
    pub headers: &'a HeaderMap,
    pub invocation: LeaseId,
    pub deadline: Option<Time>,
}

/// Why a target cannot be called.
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
    #[error("a path that leaves where it begins")]
    Escapes,
}

impl TargetError {
    const fn as_str(self) -> &'static str {
        match self {
            TargetError::Long => "the target is too long",
            TargetError::Shape => "the target is neither a path nor an http or https URL",
            TargetError::Credentials => "the target has a user name or password",
            TargetError::Fragment => "the target has a fragment",
            TargetError::Escapes => "the path of the target leaves where it begins",
        }
    }
}

/// Checks what a deployment calls at its provider.
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
    let url: Uri = if is_url(target) {
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
    if escapes(url.path()) { Err(TargetError::Escapes) } else { Ok(()) }
}

/// Whether a call for `target` stays at its provider's endpoint; what is said of the endpoint, such as that the operator
/// vouches for it, holds for no other place.
pub fn is_at_endpoint(target: &str) -> bool {
    !is_url(target)
}

/// The request that makes the call with `body` as its payload. Its path begins with the target's, always.
pub fn request<B>(call: &Call<'_>, body: B) -> Result<Request<B>, RequestError> {
    let error = |why, source| RequestError { endpoint: call.endpoint.to_owned(), why, source };
    let url = url(call).map_err(|why| error(why, None))?;
    let mut request = Request::builder()
        .method(call.passed.map_or(Method::POST, |passed| passed.method.clone()))
        .uri(url)
        .body(body)
        .map_err(|source| error("its URL is unusable", Some(source)))?;
    let headers = request.headers_mut();
    headers.clone_from(call.headers);
    for (name, value) in [
        (INVOCATION_ID, Some(call.invocation.to_string())),
        (DEADLINE, call.deadline.map(|deadline| deadline.to_string())),
    ] {
        let Some(value) = value else { continue };
        let value = HeaderValue::try_from(value).map_err(|bad| error("a header is unusable", Some(bad.into())))?;
        headers.insert(name, value);
    }
    Ok(request)
}

/// What the head of an answer means. No function server says what it used.
pub fn answer(head: &Parts) -> Answer {
    let status = head.status;
    match status {
        // A server that is full, or the function's own word: only what may run twice is tried elsewhere.
        StatusCode::TOO_MANY_REQUESTS => Answer::Unknown { fault: false, reason: status.to_string() },
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Answer::Unknown { fault: true, reason: status.to_string() }
        }
        _ if (200..600).contains(&status.as_u16()) => Answer::Executed {
            report: Report { outcome: Outcome::Ok, reading: None, message: None, log: Vec::new() },
            status,
            headers: forwarded_answer_headers(&head.headers),
        },
        _ => Answer::Unknown { fault: true, reason: format!("{} is no answer", status.as_u16()) },
    }
}

fn url(call: &Call<'_>) -> Result<Uri, &'static str> {
    check_target(call.target).map_err(TargetError::as_str)?;
    let base = if is_url(call.target) { Cow::Borrowed(call.target) } else { at_endpoint(call)? };
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

/// The target's URL, where it is a path or nothing.
fn at_endpoint<'a>(call: &Call<'a>) -> Result<Cow<'a, str>, &'static str> {
    if call.endpoint.contains(['?', '#']) {
        return Err("it has a query or a fragment");
    }
    Ok(match call.target {
        "" => Cow::Borrowed(call.endpoint),
        path => Cow::Owned(format!("{}{path}", call.endpoint.trim_end_matches('/'))),
    })
}

/// The path under `base`: with no empty segment, and refused if any server could read it as one that leads up.
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

/// Whether a path has a segment that leads up or nowhere, however it is encoded and whoever reads it: `..` and `.`, also
/// with parameters (`..;x`), apart by slashes of either kind; or what no path has, such as a control character.
fn escapes(path: &str) -> bool {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..DECODED_AT_MOST {
        if leads_up(&text) {
            return true;
        }
        let decoded = decoded(&text);
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

/// With each `%` and two hexadecimal digits as the byte that they are.
pub fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) if digit(*high).is_some() && digit(*low).is_some() => {
                decoded.push(digit(*high).unwrap_or(0) << 4 | digit(*low).unwrap_or(0));
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

fn split_query(url: &str) -> (&str, Option<&str>) {
    url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)))
}

fn is_url(target: &str) -> bool {
    let scheme = |scheme: &str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    scheme("http://") || scheme("https://")
}

#[cfg(test)]
mod tests {
    use http::Response;
    use merit_terms::Execution;

    use super::*;

    /// Where a call goes; `-` where it is refused.
    fn goes(endpoint: &str, target: &str, path: &str, query: Option<&str>) -> String {
        let passed = Some(Passed::new(&Method::GET, path, query));
        let headers = HeaderMap::new();
        let call = Call { endpoint, target, passed, headers: &headers, ..call(&headers) };
        request(&call, ()).map_or("-".to_owned(), |request| request.uri().to_string())
    }

    fn call(headers: &HeaderMap) -> Call<'_> {
        Call {
            endpoint: "http://faas.example",
            target: "/thumb",
            passed: None,
            headers,
            invocation: LeaseId { run: 1, sequence: 4711 },
            deadline: None,
        }
    }

    #[test]
    fn a_plain_invocation_is_a_post_to_the_target() {
        let headers = HeaderMap::from_iter([("x-own".parse().unwrap(), HeaderValue::from_static("1"))]);
        let deadline = Some(Time::from_micros(1_000_000));
        let request = request(&Call { deadline, ..call(&headers) }, "payload").unwrap();
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "http://faas.example/thumb")
        );
        assert_eq!(request.headers()["merit-invocation-id"], "1-4711");
        assert_eq!(request.headers()["merit-deadline"], "1970-01-01T00:00:01Z");
        assert_eq!(request.headers()["x-own"], "1");
        assert_eq!((request.headers().len(), *request.body()), (3, "payload"));
    }

    #[test]
    fn a_call_goes_to_the_target_at_the_endpoint() {
        for (endpoint, target, path, query, url) in [
            ("http://a", "", "", None, "http://a/"),
            ("http://a/", "", "", None, "http://a/"),
            ("http://a/base", "", "", None, "http://a/base"),
            ("http://a/base/", "/thumb", "", None, "http://a/base/thumb"),
            ("https://a:8443", "/thumb/", "", None, "https://a:8443/thumb/"),
            ("http://a", "/thumb", "/x/y", None, "http://a/thumb/x/y"),
            ("http://a", "/thumb/", "/x/", None, "http://a/thumb/x/"),
            ("http://a", "", "/", None, "http://a/"),
            ("http://a", "/thumb", "/", None, "http://a/thumb/"),
            ("http://a", "/thumb", "/x", Some("q=1&q=2"), "http://a/thumb/x?q=1&q=2"),
            ("http://a", "/thumb", "", Some(""), "http://a/thumb?"),
            ("http://a", "/thumb?code=1", "/x", Some("q=1"), "http://a/thumb/x?code=1&q=1"),
            ("http://a", "/thumb?code=1", "", None, "http://a/thumb?code=1"),
            ("http://a", "https://b/thumb", "/x", None, "https://b/thumb/x"),
            ("http://a", "HTTPS://b", "", None, "https://b/"),
            ("http://a", "/thumb", "/a%20b/%C3%A9;v=1", None, "http://a/thumb/a%20b/%C3%A9;v=1"),
            ("http://a", "/thumb", "/a%2Fb/..c/d..", None, "http://a/thumb/a%2Fb/..c/d.."),
            ("http://[::1]:80", "/thumb", "/x:y@z", None, "http://[::1]:80/thumb/x:y@z"),
            ("http://a", "/thumb", "/100%", None, "http://a/thumb/100%"),
        ] {
            assert_eq!(goes(endpoint, target, path, query), url, "{endpoint} {target} {path} {query:?}");
        }
    }

    #[test]
    fn a_caller_s_path_never_leaves_the_target() {
        for path in [
            "/..",
            "/../admin",
            "/x/../../admin",
            "/./x",
            "/.",
            "/x/..",
            "/%2e%2e/admin",
            "/%2E./admin",
            "/.%2e",
            "/%252e%252e/admin",
            "/%25252e%25252e/x",
            "/..%2fadmin",
            "/..%5cadmin",
            "/..\\admin",
            "/x%2f..%2fy",
            "/x%5c..",
            "/..;/admin",
            "/..;a=b/admin",
            "/%2e%2e%3b/admin",
            "/a%00b",
            "/a%0d%0ab",
            "/a\nb",
            "/%2525252525252e",
            "x",
            "..",
            "@evil.example/",
            ".evil.example",
            ":80/",
            "/a#b",
            "/a?b",
        ] {
            assert_eq!(goes("http://a", "/thumb", path, None), "-", "{path}");
        }
        assert_eq!(goes("http://a", "/thumb", "//evil.example//x", None), "http://a/thumb/evil.example/x");
        assert_eq!(goes("http://a", "", "//evil.example", None), "http://a/evil.example");
        assert_eq!(goes("http://a", "/thumb", "/x", Some("a#b")), "http://a/thumb/x?a");
        assert_eq!(goes("http://a", "/thumb", "/x", Some("a b")), "-");
    }

    #[test]
    fn only_a_path_or_an_http_url_is_a_target() {
        use TargetError::*;
        for (target, checked) in [
            ("", Ok(())),
            ("/", Ok(())),
            ("/thumb?code=1", Ok(())),
            ("https://b.example/thumb", Ok(())),
            ("http://b.example", Ok(())),
            ("thumb", Err(Shape)),
            ("//b.example/x", Err(Shape)),
            ("\\\\b.example", Err(Shape)),
            ("ftp://b.example", Err(Shape)),
            ("http://", Err(Shape)),
            ("http:///x", Err(Shape)),
            ("/a b", Err(Shape)),
            ("/a\r\nb", Err(Shape)),
            ("http://u:p@b.example", Err(Credentials)),
            ("/x#y", Err(Fragment)),
            ("/../x", Err(Escapes)),
            ("http://b.example/%2e%2e/x", Err(Escapes)),
        ] {
            assert_eq!(check_target(target), checked, "{target:?}");
            let refused = goes("http://a", target, "", None) == "-";
            assert_eq!(refused, checked.is_err(), "{target:?}");
        }
        assert_eq!(check_target(&format!("/{}", "x".repeat(TARGET_MAX_BYTES))), Err(Long));
        assert!(is_at_endpoint("") && is_at_endpoint("/thumb"));
        assert!(!is_at_endpoint("http://b") && !is_at_endpoint("HTTPS://b"));
    }

    #[test]
    fn only_an_http_endpoint_can_be_called() {
        for endpoint in ["", "a", "/x", "ftp://a", "file:///etc", "http://", "http://u@a", "http://a?x", "http://a#x"] {
            assert_eq!(goes(endpoint, "/thumb", "", None), "-", "{endpoint}");
            assert_eq!(goes(endpoint, "", "/x", None), "-", "{endpoint}");
        }
    }

    #[test]
    fn a_caller_cannot_say_what_is_merit_s_to_say() {
        let headers = HeaderMap::from_iter([("merit-invocation-id".parse().unwrap(), HeaderValue::from_static("9-9"))]);
        assert_eq!(request(&call(&headers), ()).unwrap().headers()["merit-invocation-id"], "1-4711");
    }

    fn read(status: u16, headers: &[(&str, &str)]) -> Answer {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        answer(&response.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_is_not_the_gateway_s_is_the_function_s() {
        for status in [200, 201, 204, 206, 301, 302, 307, 304, 400, 401, 403, 404, 408, 418, 451, 500, 501, 505, 599] {
            let Answer::Executed { status: own, report, .. } = read(status, &[]) else { panic!("{status}") };
            assert_eq!((own.as_u16(), report.outcome, report.reading), (status, Outcome::Ok, None));
        }
        for status in [502, 503, 504] {
            assert!(matches!(read(status, &[]), Answer::Unknown { fault: true, .. }), "{status}");
        }
        assert!(matches!(read(429, &[("retry-after", "1")]), Answer::Unknown { fault: false, .. }));
        for status in [100, 101, 103, 600, 999] {
            assert_eq!(read(status, &[]).execution(), Execution::Unknown, "{status}");
        }
    }

    #[test]
    fn a_function_server_says_nothing_in_merit_s_name() {
        let said = [("merit-outcome", "trap"), ("merit-usage", "wall_us=1;cpu_us=1;cold_us=0;memory_mb=1")];
        let Answer::Executed { report, headers, .. } = read(302, &[&said[..], &[("location", "/x")]].concat()) else {
            panic!("not executed")
        };
        assert_eq!((report.outcome, report.reading), (Outcome::Ok, None));
        assert_eq!((headers.len(), headers["location"].to_str().unwrap()), (1, "/x"));
    }
}
