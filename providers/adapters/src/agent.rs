//! The Merit agent: plain HTTP with a lease's token in, the function's output with a report out.
//!
//! Both directions side by side: the broker makes requests and reads answers, the agent reads the token and writes
//! its refusals. Only an answer that says so is executed or not sent; of anything else, a gateway's included, nobody
//! knows.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;
use http::{Method, Request, StatusCode};
use merit_terms::LeaseId;

use crate::report::{read_message, text, write_message};
use crate::{Answer, Report};

/// Carries the token of the lease, and the exchange's proof of it.
pub const LEASE: HeaderName = HeaderName::from_static("merit-lease");
/// Carries the invocation's id: the lease of its first attempt.
pub const INVOCATION_ID: HeaderName = HeaderName::from_static("merit-invocation-id");
/// Parts the proof from the token in [`LEASE`]; neither has it inside.
const PROOF: &str = ";proof=";
const NOT_SENT: HeaderName = HeaderName::from_static("merit-not-sent");
const BUSY: HeaderName = HeaderName::from_static("merit-busy");

/// The most bytes of a payload, and of an output.
pub const PAYLOAD_MAX_BYTES: usize = 6 << 20;

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
    /// Of the payload, passed on as it is.
    pub content_type: Option<&'a HeaderValue>,
}

/// The provider cannot be asked; nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("no request can be made for {endpoint}")]
pub struct RequestError {
    endpoint: String,
    source: http::Error,
}

/// The request that runs the call with `body` as its payload.
pub fn request<B>(call: &Call<'_>, body: B) -> Result<Request<B>, RequestError> {
    let Call { account, function, revision, token, proof, .. } = call;
    let endpoint = call.endpoint.trim_end_matches('/');
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{endpoint}/invoke/{account}/{function}/{revision}"))
        .header(LEASE, if proof.is_empty() { (*token).to_owned() } else { format!("{token}{PROOF}{proof}") })
        .header(INVOCATION_ID, call.invocation.to_string());
    if let Some(content_type) = call.content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    request.body(body).map_err(|source| RequestError { endpoint: call.endpoint.to_owned(), source })
}

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
            Some(report) => Answer::Executed(report),
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
    use http::Response;
    use merit_terms::{Execution, Outcome};

    use super::*;

    fn call(endpoint: &str) -> Call<'_> {
        Call {
            endpoint,
            account: "dev",
            function: "thumb",
            revision: 3,
            token: "claims.tag",
            proof: "",
            invocation: LeaseId { run: 1, sequence: 4711 },
            content_type: None,
        }
    }

    #[test]
    fn a_request_names_the_revision_and_carries_the_token() {
        let content_type = HeaderValue::from_static("image/png");
        let call = Call { content_type: Some(&content_type), ..call("http://127.0.0.1:9000/") };
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
        assert_eq!(answer(&head), Answer::Executed(report));
    }
}
