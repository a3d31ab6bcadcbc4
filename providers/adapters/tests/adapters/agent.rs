//! The agent's protocol.

use std::sync::LazyLock;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use merit_adapters::agent::{
    MalformedRequest, PassedText, answer, lease, passed, request, write_full, write_not_sent, write_warming,
};
use merit_adapters::{NotTaken, Passed, ProviderAnswer, ProviderCall, Report};
use merit_terms::{Execution, LeaseId, Outcome};

static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

fn call(endpoint: &str) -> ProviderCall<'_> {
    ProviderCall {
        endpoint,
        target: "",
        targets: &[],
        account: "dev",
        function: "thumb",
        revision: 3,
        token: "claims.tag",
        proof: "",
        invocation: LeaseId { run: 1, sequence: 4711 },
        via: None,
        deadline: None,
        passed: None,
        headers: &NO_HEADERS,
    }
}

#[test]
fn a_request_names_the_revision_and_carries_the_token() {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("image/png"))]);
    let call = ProviderCall { headers: &headers, ..call("http://127.0.0.1:9000/") };
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
        let request = request(&ProviderCall { proof, ..call("http://edge") }, ()).unwrap();
        let (token, proof) = lease(request.headers()).unwrap();
        (token.to_owned(), proof.to_owned())
    };
    assert_eq!(read("terms.mac"), ("claims.tag".to_owned(), "terms.mac".to_owned()));
    assert_eq!(read(""), ("claims.tag".to_owned(), String::new()));
    assert_eq!(lease(&HeaderMap::new()), None);
}

#[test]
fn an_endpoint_is_a_url_perhaps_with_a_path() {
    assert_eq!(
        request(&call("https://edge.example/merit"), ()).unwrap().uri(),
        "https://edge.example/merit/invoke/dev/thumb/3"
    );
    assert!(request(&call("http://a b"), ()).is_err());
    assert!(request(&ProviderCall { token: "line\nbreak", ..call("http://edge") }, ()).is_err());
}

fn read(status: u16, headers: &[(&str, &str)]) -> ProviderAnswer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    answer(&response.body(()).unwrap().into_parts().0)
}

fn check(status: u16, headers: &[(&str, &str)], execution: Execution) {
    assert_eq!(read(status, headers).execution(), execution, "{status} {headers:?}");
}

#[test]
fn a_provider_says_why_it_took_nothing() {
    let why = |status, headers: &[(&str, &str)]| match read(status, headers) {
        ProviderAnswer::NotSent { why, .. } => why,
        other => panic!("{status} {headers:?}: {other:?}"),
    };
    assert_eq!(why(429, &[("merit-busy", "full")]), NotTaken::Full);
    let warming = |retry_after_s| NotTaken::Warming { retry_after_s };
    assert_eq!(why(429, &[("merit-busy", "warming"), ("retry-after", "12")]), warming(12));
    assert_eq!(why(429, &[("merit-busy", "warming"), ("retry-after", "soon")]), warming(1));
    assert_eq!(why(429, &[("merit-busy", "warming"), ("retry-after", "4294967295")]), warming(600));
    for status in [400, 408, 413, 422] {
        assert_eq!(why(status, &[("merit-not-sent", "1")]), NotTaken::Call);
    }
    for status in [401, 403, 404, 429, 503] {
        assert_eq!(why(status, &[("merit-not-sent", "1")]), NotTaken::Failed);
    }
}

#[test]
fn an_answer_counts_only_as_it_says() {
    check(200, &[("merit-outcome", "ok")], Execution::Executed);
    check(200, &[("merit-outcome", "trap")], Execution::Executed);
    check(200, &[("merit-outcome", "ok"), ("merit-not-sent", "1")], Execution::Executed);
    check(200, &[("merit-outcome", "great")], Execution::Unknown);
    check(200, &[], Execution::Unknown);
    check(200, &[("merit-not-sent", "1")], Execution::Unknown);
    check(204, &[("merit-outcome", "ok")], Execution::Unknown);
    check(429, &[("merit-busy", "full")], Execution::NotSent);
    check(429, &[("merit-busy", "yes")], Execution::Unknown);
    check(429, &[], Execution::Unknown);
    check(503, &[("merit-busy", "full")], Execution::Unknown);
    check(401, &[], Execution::NotSent);
    check(403, &[], Execution::NotSent);
    check(404, &[], Execution::Unknown);
    check(404, &[("merit-not-sent", "1")], Execution::NotSent);
    check(413, &[("merit-not-sent", "1")], Execution::NotSent);
    check(503, &[("merit-not-sent", "1")], Execution::NotSent);
    check(500, &[("merit-outcome", "ok")], Execution::Unknown);
    check(502, &[], Execution::Unknown);
    check(503, &[], Execution::Unknown);
    check(504, &[], Execution::Unknown);
    check(302, &[], Execution::Unknown);
}

#[test]
fn an_answer_without_a_report_is_a_fault_unless_throttled() {
    let is_fault = |status| match read(status, &[]) {
        ProviderAnswer::Unknown { fault, .. } => fault,
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
    assert_eq!(read(429, write_full), ProviderAnswer::NotSent { why: NotTaken::Full, reason });
    let reason = "every thread is taken".to_owned();
    let why = NotTaken::Warming { retry_after_s: 9 };
    assert_eq!(read(429, |headers, text| write_warming(headers, 9, text)), ProviderAnswer::NotSent { why, reason });
    let reason = "503 Service Unavailable: every thread is taken".to_owned();
    assert_eq!(read(503, write_not_sent), ProviderAnswer::NotSent { why: NotTaken::Failed, reason });
}

#[test]
fn an_executed_answer_carries_its_report() {
    let mut head = Response::new(()).into_parts().0;
    let report = Report { outcome: Outcome::Exit, reading: None, message: Some("code 3".into()), log: Vec::new() };
    report.write(&mut head.headers);
    let (status, headers) = (StatusCode::OK, HeaderMap::new());
    assert_eq!(answer(&head), ProviderAnswer::Executed { report, status, headers });
}

#[test]
fn a_passed_request_is_read_as_it_is_written() {
    for (path, query) in [("", None), ("/", None), ("/a/b%20c", Some("q=1&r=?")), ("", Some("")), ("//x", Some("/"))] {
        let (host, remote) = (query.map(|_| "a.example:8080"), query.map(|_| [10, 1, 2, 3].into()));
        let passed_on = Passed { host, remote, ..Passed::new(&Method::GET, path, query) };
        let request = request(&ProviderCall { passed: Some(passed_on), ..call("http://edge") }, ()).unwrap();
        assert_eq!(passed(request.headers()), Ok(Some(PassedText { method: "GET", path, query, host, remote })));
    }
    assert_eq!(passed(request(&call("http://edge"), ()).unwrap().headers()), Ok(None));
    for text in ["", "GET x", " /x", "G(T /x", "GET /x HTTP/1.1", "GET /x#y", "GET  /x"] {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("merit-request"), HeaderValue::from_static(text))]);
        assert_eq!(passed(&headers), Err(MalformedRequest), "{text}");
    }
}

#[test]
fn a_function_s_status_and_headers_come_with_its_report() {
    let ok = ("merit-outcome", "ok");
    let status = |said: &str| match read(200, &[ok, ("merit-status", said)]) {
        ProviderAnswer::Executed { status, .. } => status.as_u16(),
        other => panic!("{other:?}"),
    };
    assert_eq!(["200", "204", "302", "404", "500", "599"].map(status), [200, 204, 302, 404, 500, 599]);
    assert_eq!(["", "20", "0200", "100", "101", "600", "abc", "-20"].map(status), [200; 8]);
    let own = [ok, ("x-own", "1"), ("set-cookie", "a=1"), ("merit-cost", "0"), ("connection", "close")];
    let ProviderAnswer::Executed { headers, .. } = read(200, &own) else { panic!("not executed") };
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-own", "set-cookie"]);
}
