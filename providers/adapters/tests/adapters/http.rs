//! Calls to a function server.

use http::header::{HeaderMap, HeaderValue};
use http::{Method, Response};
use merit_adapters::http::{TARGET_MAX_BYTES, TargetError, answer, check_target, request};
use merit_adapters::{Passed, ProviderAnswer, ProviderCall};
use merit_terms::{Execution, LeaseId, Outcome, TargetPattern, Time};

/// Returns the URL of a call, or `-` if it is refused.
fn url(endpoint: &str, target: &str, path: &str, query: Option<&str>) -> String {
    url_within(&["http://b/*", "https://b/*"], endpoint, target, path, query)
}

/// Returns the URL of a call at a provider with these patterns of targets, or `-` if it is refused.
fn url_within(patterns: &[&str], endpoint: &str, target: &str, path: &str, query: Option<&str>) -> String {
    let targets: Vec<TargetPattern> = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
    let passed = Some(Passed::new(&Method::GET, path, query));
    let headers = HeaderMap::new();
    let call = ProviderCall { endpoint, target, targets: &targets, passed, headers: &headers, ..call(&headers) };
    request(&call, ()).map_or("-".to_owned(), |request| request.uri().to_string())
}

fn call(headers: &HeaderMap) -> ProviderCall<'_> {
    ProviderCall {
        endpoint: "http://faas.example",
        target: "/thumb",
        targets: &[],
        account: "dev",
        function: "thumb",
        revision: 3,
        token: "claims.tag",
        proof: "terms.mac",
        invocation: LeaseId { run: 1, sequence: 4711 },
        via: None,
        deadline: None,
        passed: None,
        headers,
    }
}

#[test]
fn a_plain_invocation_is_a_post_to_the_target() {
    let headers = HeaderMap::from_iter([("x-own".parse().unwrap(), HeaderValue::from_static("1"))]);
    let deadline = Some(Time::from_micros(1_000_000));
    let request = request(&ProviderCall { deadline, ..call(&headers) }, "payload").unwrap();
    assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "http://faas.example/thumb"));
    assert_eq!(request.headers()["merit-invocation-id"], "1-4711");
    assert_eq!(request.headers()["merit-deadline"], "1970-01-01T00:00:01Z");
    assert_eq!(request.headers()["x-own"], "1");
    assert_eq!((request.headers().len(), *request.body()), (3, "payload"));
}

#[test]
fn a_call_goes_to_the_target_at_the_endpoint() {
    for (endpoint, target, path, query, expected) in [
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
        assert_eq!(url(endpoint, target, path, query), expected, "{endpoint} {target} {path} {query:?}");
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
        assert_eq!(url("http://a", "/thumb", path, None), "-", "{path}");
    }
    assert_eq!(url("http://a", "/thumb", "//evil.example//x", None), "http://a/thumb/evil.example/x");
    assert_eq!(url("http://a", "", "//evil.example", None), "http://a/evil.example");
    assert_eq!(url("http://a", "/thumb", "/x", Some("a#b")), "http://a/thumb/x?a");
    assert_eq!(url("http://a", "/thumb", "/x", Some("a b")), "-");
}

#[test]
fn only_a_path_or_an_http_url_is_a_target() {
    use TargetError::*;
    for (target, checked) in [
        ("", Ok(())),
        ("/", Ok(())),
        ("/thumb?code=1", Ok(())),
        ("https://b/thumb", Ok(())),
        ("http://b", Ok(())),
        ("thumb", Err(Shape)),
        ("//b.example/x", Err(Shape)),
        ("\\\\b.example", Err(Shape)),
        ("ftp://b.example", Err(Shape)),
        ("http://", Err(Shape)),
        ("http:///x", Err(Shape)),
        ("/a b", Err(Shape)),
        ("/a\r\nb", Err(Shape)),
        ("http://u:p@b.example", Err(Credentials)),
        ("http://b.example:0/x", Err(Port)),
        ("http://b.example:65536", Err(Port)),
        ("https://[::1]:70000/x", Err(Port)),
        ("/x#y", Err(Fragment)),
        ("/../x", Err(Escapes)),
        ("http://b.example/%2e%2e/x", Err(Escapes)),
        ("/a%2Fb", Err(Encoded)),
        ("/a%252fb", Err(Encoded)),
        ("/a%2eb", Err(Encoded)),
        ("http://b/a%5cb", Err(Encoded)),
    ] {
        assert_eq!(check_target(target), checked, "{target:?}");
        let refused = url("http://a", target, "", None) == "-";
        assert_eq!(refused, checked.is_err(), "{target:?}");
    }
    assert_eq!(check_target("http://b.example:65535"), Ok(()));
    assert_eq!(check_target(&format!("/{}", "x".repeat(TARGET_MAX_BYTES))), Err(Long));
}

#[test]
fn a_target_elsewhere_needs_a_pattern_of_the_owner() {
    let all = ["http://b/fn/*"];
    for (patterns, target, path, expected) in [
        (&[][..], "http://a/base/x", "/y", "http://a/base/x/y"),
        (&[], "http://a/base", "", "http://a/base"),
        (&[], "http://a/based", "", "-"),
        (&[], "http://a/", "", "-"),
        (&[], "http://b/fn", "", "-"),
        (&all, "http://b/fn", "", "http://b/fn"),
        (&all, "http://b/fn/x", "/y/z", "http://b/fn/x/y/z"),
        (&all, "http://b/fn2", "", "-"),
        (&all, "https://b/fn/x", "", "-"),
        (&all, "http://b:81/fn/x", "", "-"),
        (&all, "http://b/fn/x", "/../../admin", "-"),
        (&["http://b/fn"], "http://b/fn", "", "http://b/fn"),
        (&["http://b/fn"], "http://b/fn", "/admin", "-"),
    ] {
        assert_eq!(url_within(patterns, "http://a/base", target, path, None), expected, "{patterns:?} {target} {path}");
    }
}

/// Checks that whoever connects reads the same host from a URL as whoever allows it.
#[test]
fn an_allowed_target_has_the_host_of_its_pattern() {
    const PARTS: [&str; 14] =
        ["fn.example", "evil", "/", "//", "\\", "@", ":80", ":81", "?", "#", "%2f", "[::1]", ".", "\t"];
    let all: TargetPattern = "http://fn.example/*".parse().unwrap();
    let mut allowed = 0;
    for number in 0..PARTS.len().pow(4) {
        let part = |place: u32| PARTS[number / PARTS.len().pow(place) % PARTS.len()];
        for scheme in ["http://", "HTTP://"] {
            let target = format!("{scheme}{}{}{}{}", part(0), part(1), part(2), part(3));
            if !all.matches(&target) {
                continue;
            }
            let url = url_within(&["http://fn.example/*"], "http://a", &target, "", None);
            let Ok(url) = url.parse::<http::Uri>() else { continue };
            assert_eq!((url.host(), url.port_u16().unwrap_or(80)), (Some("fn.example"), 80), "{target}");
            allowed += 1;
        }
    }
    assert!(allowed > 100, "{allowed}");
}

#[test]
fn only_an_http_endpoint_can_be_called() {
    for endpoint in ["", "a", "/x", "ftp://a", "file:///etc", "http://", "http://u@a", "http://a?x", "http://a#x"] {
        assert_eq!(url(endpoint, "/thumb", "", None), "-", "{endpoint}");
        assert_eq!(url(endpoint, "", "/x", None), "-", "{endpoint}");
    }
}

#[test]
fn a_caller_cannot_set_the_invocation_id() {
    let headers = HeaderMap::from_iter([("merit-invocation-id".parse().unwrap(), HeaderValue::from_static("9-9"))]);
    assert_eq!(request(&call(&headers), ()).unwrap().headers()["merit-invocation-id"], "1-4711");
}

fn read(status: u16, headers: &[(&str, &str)]) -> ProviderAnswer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    answer(&response.body(()).unwrap().into_parts().0)
}

#[test]
fn every_final_status_is_the_function_s() {
    for status in 200..600 {
        let ProviderAnswer::Executed { status: own, report, .. } = read(status, &[]) else { panic!("{status}") };
        assert_eq!((own.as_u16(), report.outcome, report.reading), (status, Outcome::Ok, None));
    }
    let ProviderAnswer::Executed { headers, .. } = read(429, &[("retry-after", "1")]) else { panic!("not executed") };
    assert_eq!(headers["retry-after"], "1");
    for status in [100, 101, 103, 600, 999] {
        assert_eq!(read(status, &[]).execution(), Execution::Unknown, "{status}");
    }
}

#[test]
fn a_function_server_reports_nothing_in_merit_s_name() {
    let said = [("merit-outcome", "trap"), ("merit-usage", "wall_us=1;cpu_us=1;cold_us=0;memory_mb=1")];
    let ProviderAnswer::Executed { report, headers, .. } = read(302, &[&said[..], &[("location", "/x")]].concat())
    else {
        panic!("not executed")
    };
    assert_eq!((report.outcome, report.reading), (Outcome::Ok, None));
    assert_eq!((headers.len(), headers["location"].to_str().unwrap()), (1, "/x"));
}
