//! The Merit agent: plain HTTP with a lease's token in, the function's output with a report out.
//!
//! Both directions side by side: the broker makes requests and reads answers, the agent reads the token and writes
//! its refusals. Only an answer that says so is executed or not sent; of anything else, a gateway's included, nobody
//! knows. The headers of an application travel beside Merit's own, in both directions.

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Method, Request, StatusCode};
use merit_terms::LeaseId;

use crate::headers::forwarded_answer_headers;
use crate::report::{read_message, text, write_message};
use crate::{Answer, Passed, Report, RequestError};

/// Carries the token of the lease, and the exchange's proof of it.
pub const LEASE: HeaderName = HeaderName::from_static("merit-lease");
/// Carries the invocation's id: the lease of its first attempt.
pub const INVOCATION_ID: HeaderName = HeaderName::from_static("merit-invocation-id");
/// Carries what a call passes through: `GET /path?query`.
const REQUEST: HeaderName = HeaderName::from_static("merit-request");
/// Carries to whom the caller spoke, with a call that is passed through.
const HOST: HeaderName = HeaderName::from_static("merit-host");
/// Carries the address of the caller, with a call that is passed through.
const REMOTE: HeaderName = HeaderName::from_static("merit-remote-addr");
/// Carries the status that a function gave its answer, if it gave one.
const STATUS: HeaderName = HeaderName::from_static("merit-status");
/// Parts the proof from the token in [`LEASE`]; neither has it inside.
const PROOF: &str = ";proof=";
const NOT_SENT: HeaderName = HeaderName::from_static("merit-not-sent");
const BUSY: HeaderName = HeaderName::from_static("merit-busy");

/// The most bytes of a payload: of all that a broker takes.
pub const PAYLOAD_MAX_BYTES: usize = 20 << 20;
/// The most bytes of an output.
pub const OUTPUT_MAX_BYTES: usize = 6 << 20;

/// One attempt at one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Where the provider takes invocations, with or without a `/` at its end.
    pub endpoint: &'a str,
    pub account: &'a str,
    pub function: &'a str,
    pub revision: u32,
    pub token: &'a str,
    /// The exchange's proof of the lease, as text: by it the provider claims what it ran for. Empty: there is none.
    pub proof: &'a str,
    pub invocation: LeaseId,
    /// None: a plain invocation.
    pub passed: Option<Passed<'a>>,
    /// The caller's, those taken out that may not be passed on.
    pub headers: &'a HeaderMap,
}

/// The request that runs the call with `body` as its payload.
pub fn request<B>(call: &Call<'_>, body: B) -> Result<Request<B>, RequestError> {
    let Call { account, function, revision, token, proof, .. } = call;
    let endpoint = call.endpoint.trim_end_matches('/');
    let error =
        |source| RequestError { endpoint: call.endpoint.to_owned(), why: "it is unusable", source: Some(source) };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{endpoint}/invoke/{account}/{function}/{revision}"))
        .body(body)
        .map_err(error)?;
    let headers = request.headers_mut();
    headers.clone_from(call.headers);
    let lease = if proof.is_empty() { (*token).to_owned() } else { format!("{token}{PROOF}{proof}") };
    for (name, value) in [
        (LEASE, Some(lease)),
        (INVOCATION_ID, Some(call.invocation.to_string())),
        (REQUEST, call.passed.map(|passed| write_passed(&passed))),
        (HOST, call.passed.and_then(|passed| passed.host).map(str::to_owned)),
        (REMOTE, call.passed.and_then(|passed| passed.remote).map(|remote| remote.to_string())),
    ] {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::try_from(value).map_err(|bad| error(bad.into()))?);
        }
    }
    Ok(request)
}

fn write_passed(Passed { method, path, query, .. }: &Passed<'_>) -> String {
    match query {
        Some(query) => format!("{method} {path}?{query}"),
        // A space at the end would be lost on the way.
        None if path.is_empty() => method.to_string(),
        None => format!("{method} {path}"),
    }
}

/// What the head of a request passes through, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassedText<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub host: Option<&'a str>,
    pub remote: Option<IpAddr>,
}

/// What a call passes through, by the head of its request; `Ok(None)`: it is a plain invocation.
pub fn passed(headers: &HeaderMap) -> Result<Option<PassedText<'_>>, NoRequest> {
    if !headers.contains_key(REQUEST) {
        return Ok(None);
    }
    let request = text(headers, &REQUEST).ok_or(NoRequest)?;
    let (method, target) = request.split_once(' ').unwrap_or((request, ""));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let is_method = Method::from_bytes(method.as_bytes()).is_ok();
    let is_path = path.is_empty() || path.starts_with('/');
    if !is_method || !is_path || target.contains([' ', '#']) {
        return Err(NoRequest);
    }
    let remote = text(headers, &REMOTE).and_then(|remote| remote.parse().ok());
    Ok(Some(PassedText { method, path, query, host: text(headers, &HOST), remote }))
}

/// A request says that it passes through what is no method, path and query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Merit-Request must be a method, a path and a query, such as GET /path?query")]
pub struct NoRequest;

/// The token and the proof in the head of a request; the proof is empty if there is none.
pub fn lease(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = text(headers, &LEASE)?;
    Some(value.split_once(PROOF).unwrap_or((value, "")))
}

/// What the head of an answer means.
pub fn answer(head: &Parts) -> Answer {
    let Parts { status, headers, .. } = head;
    if *status == StatusCode::OK {
        return match Report::read(headers) {
            Some(report) => Answer::Executed {
                report,
                status: read_status(headers).unwrap_or(StatusCode::OK),
                headers: forwarded_answer_headers(headers),
            },
            None => Answer::Unknown { fault: true, reason: "the answer has no Merit-Outcome".to_owned() },
        };
    }
    let reason = || match read_message(headers) {
        Some(message) => format!("{status}: {message}"),
        None => status.to_string(),
    };
    let says = |name: HeaderName| text(headers, &name) == Some("1");
    match *status {
        StatusCode::TOO_MANY_REQUESTS if says(BUSY) => Answer::NotSent { busy: true, reason: reason() },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Answer::NotSent { busy: false, reason: reason() },
        _ if says(NOT_SENT) => Answer::NotSent { busy: false, reason: reason() },
        // Something before the provider holds calls back, which says nothing about it.
        StatusCode::TOO_MANY_REQUESTS => Answer::Unknown { fault: false, reason: reason() },
        _ => Answer::Unknown { fault: true, reason: reason() },
    }
}

/// A function's status; what is malformed, or no status of a whole answer, counts as not said.
fn read_status(headers: &HeaderMap) -> Option<StatusCode> {
    let digits = text(headers, &STATUS).filter(|digits| digits.len() == 3)?;
    StatusCode::from_bytes(digits.as_bytes()).ok().filter(|status| (200..600).contains(&status.as_u16()))
}

/// Says with which status the function answers.
pub fn write_status(headers: &mut HeaderMap, status: StatusCode) {
    headers.insert(STATUS, HeaderValue::from(status.as_u16()));
}

/// Says in an answer that nothing was started, and why. Its status must not be 200.
pub fn write_not_sent(headers: &mut HeaderMap, reason: &str) {
    headers.insert(NOT_SENT, HeaderValue::from_static("1"));
    write_message(headers, reason);
}

/// Says in an answer that the provider is full, which is not its failure. Its status must be 429.
pub fn write_busy(headers: &mut HeaderMap, reason: &str) {
    headers.insert(BUSY, HeaderValue::from_static("1"));
    write_not_sent(headers, reason);
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use http::Response;
    use http::header::CONTENT_TYPE;
    use merit_terms::{Execution, Outcome};

    use super::*;

    static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

    fn call(endpoint: &str) -> Call<'_> {
        Call {
            endpoint,
            account: "dev",
            function: "thumb",
            revision: 3,
            token: "claims.tag",
            proof: "",
            invocation: LeaseId { run: 1, sequence: 4711 },
            passed: None,
            headers: &NO_HEADERS,
        }
    }

    #[test]
    fn a_request_names_the_revision_and_carries_the_token() {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("image/png"))]);
        let call = Call { headers: &headers, ..call("http://127.0.0.1:9000/") };
        let request = request(&call, "payload").unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "http://127.0.0.1:9000/invoke/dev/thumb/3");
        assert_eq!(request.headers()["merit-lease"], "claims.tag");
        assert_eq!(request.headers()["merit-invocation-id"], "1-4711");
        assert_eq!(request.headers()["content-type"], "image/png");
        assert_eq!(*request.body(), "payload");
    }

    #[test]
    fn a_proof_travels_beside_the_token() {
        let read = |proof: &str| {
            let request = request(&Call { proof, ..call("http://edge") }, ()).unwrap();
            let (token, proof) = lease(request.headers()).unwrap();
            (token.to_owned(), proof.to_owned())
        };
        assert_eq!(read("terms.mac"), ("claims.tag".to_owned(), "terms.mac".to_owned()));
        assert_eq!(read(""), ("claims.tag".to_owned(), String::new()));
        assert_eq!(lease(&HeaderMap::new()), None);
    }

    #[test]
    fn an_endpoint_may_have_a_path_and_must_be_a_url() {
        assert_eq!(
            request(&call("https://edge.example/merit"), ()).unwrap().uri(),
            "https://edge.example/merit/invoke/dev/thumb/3"
        );
        assert!(request(&call("http://a b"), ()).is_err());
        assert!(request(&Call { token: "line\nbreak", ..call("http://edge") }, ()).is_err());
    }

    fn read(status: u16, headers: &[(&str, &str)]) -> Answer {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        answer(&response.body(()).unwrap().into_parts().0)
    }

    fn check(status: u16, headers: &[(&str, &str)], execution: Execution, is_busy: bool) {
        let answer = read(status, headers);
        let busy = matches!(answer, Answer::NotSent { busy: true, .. });
        assert_eq!((answer.execution(), busy), (execution, is_busy), "{status} {headers:?}");
    }

    #[test]
    fn only_what_the_answer_says_counts() {
        check(200, &[("merit-outcome", "ok")], Execution::Executed, false);
        check(200, &[("merit-outcome", "trap")], Execution::Executed, false);
        check(200, &[("merit-outcome", "ok"), ("merit-not-sent", "1")], Execution::Executed, false);
        check(200, &[("merit-outcome", "great")], Execution::Unknown, false);
        check(200, &[], Execution::Unknown, false);
        check(200, &[("merit-not-sent", "1")], Execution::Unknown, false);
        check(204, &[("merit-outcome", "ok")], Execution::Unknown, false);
        check(429, &[("merit-busy", "1")], Execution::NotSent, true);
        check(429, &[("merit-busy", "yes")], Execution::Unknown, false);
        check(429, &[], Execution::Unknown, false);
        check(503, &[("merit-busy", "1")], Execution::Unknown, false);
        check(401, &[], Execution::NotSent, false);
        check(403, &[], Execution::NotSent, false);
        check(404, &[], Execution::Unknown, false);
        check(404, &[("merit-not-sent", "1")], Execution::NotSent, false);
        check(413, &[("merit-not-sent", "1")], Execution::NotSent, false);
        check(503, &[("merit-not-sent", "1")], Execution::NotSent, false);
        check(500, &[("merit-outcome", "ok")], Execution::Unknown, false);
        check(502, &[], Execution::Unknown, false);
        check(503, &[], Execution::Unknown, false);
        check(504, &[], Execution::Unknown, false);
        check(302, &[], Execution::Unknown, false);
    }

    #[test]
    fn an_answer_that_is_not_the_function_s_is_the_provider_s_fault_unless_it_only_waits() {
        let is_fault = |status| match read(status, &[]) {
            Answer::Unknown { fault, .. } => fault,
            other => panic!("{status}: {other:?}"),
        };
        for status in [200, 302, 404, 500, 502, 503, 504] {
            assert!(is_fault(status), "{status}");
        }
        assert!(!is_fault(429));
    }

    #[test]
    fn refusals_are_read_as_they_are_written() {
        let read = |status: u16, write: fn(&mut HeaderMap, &str)| {
            let mut head = Response::builder().status(status).body(()).unwrap().into_parts().0;
            write(&mut head.headers, "every thread is taken");
            answer(&head)
        };
        let reason = "429 Too Many Requests: every thread is taken".to_owned();
        assert_eq!(read(429, write_busy), Answer::NotSent { busy: true, reason });
        let reason = "503 Service Unavailable: every thread is taken".to_owned();
        assert_eq!(read(503, write_not_sent), Answer::NotSent { busy: false, reason });
    }

    #[test]
    fn an_executed_answer_carries_its_report() {
        let mut head = Response::new(()).into_parts().0;
        let report = Report { outcome: Outcome::Exit, reading: None, message: Some("code 3".into()), log: Vec::new() };
        report.write(&mut head.headers);
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        assert_eq!(answer(&head), Answer::Executed { report, status, headers });
    }

    #[test]
    fn what_is_passed_through_is_read_as_it_is_written() {
        for (path, query) in
            [("", None), ("/", None), ("/a/b%20c", Some("q=1&r=?")), ("", Some("")), ("//x", Some("/"))]
        {
            let (host, remote) = (query.map(|_| "a.example:8080"), query.map(|_| [10, 1, 2, 3].into()));
            let passed_on = Passed { host, remote, ..Passed::new(&Method::GET, path, query) };
            let request = request(&Call { passed: Some(passed_on), ..call("http://edge") }, ()).unwrap();
            assert_eq!(passed(request.headers()), Ok(Some(PassedText { method: "GET", path, query, host, remote })));
        }
        assert_eq!(passed(request(&call("http://edge"), ()).unwrap().headers()), Ok(None));
        for text in ["", "GET x", " /x", "G(T /x", "GET /x HTTP/1.1", "GET /x#y", "GET  /x"] {
            let headers = HeaderMap::from_iter([(REQUEST, HeaderValue::from_static(text))]);
            assert_eq!(passed(&headers), Err(NoRequest), "{text}");
        }
    }

    #[test]
    fn a_function_s_status_and_headers_come_with_its_report() {
        let ok = ("merit-outcome", "ok");
        let status = |said: &str| match read(200, &[ok, ("merit-status", said)]) {
            Answer::Executed { status, .. } => status.as_u16(),
            other => panic!("{other:?}"),
        };
        assert_eq!(["200", "204", "302", "404", "500", "599"].map(status), [200, 204, 302, 404, 500, 599]);
        assert_eq!(["", "20", "0200", "100", "101", "600", "abc", "-20"].map(status), [200; 8]);
        let own = [ok, ("x-own", "1"), ("set-cookie", "a=1"), ("merit-cost", "0"), ("connection", "close")];
        let Answer::Executed { headers, .. } = read(200, &own) else { panic!("not executed") };
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-own", "set-cookie"]);
    }
}
