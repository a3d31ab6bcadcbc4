//! Headers that pass, by cases.

use super::*;

fn passed(consumed: bool, headers: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut request = http::Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut parts = request.body(()).unwrap().into_parts().0;
    parts.extensions.insert(Consumed(consumed));
    let mut names: Vec<String> = of_caller(&parts).keys().map(ToString::to_string).collect();
    names.sort();
    names
}

#[test]
fn the_application_s_own_headers_pass() {
    let own = [("accept", "a"), ("authorization", "Bearer app"), ("traceparent", "t"), ("x-own", "v")];
    assert_eq!(passed(false, &own), ["accept", "authorization", "traceparent", "x-own"]);
    assert_eq!(passed(true, &own), ["accept", "traceparent", "x-own"], "what Merit consumed is gone");
}

#[test]
fn forged_headers_and_those_of_the_connection_do_not_pass() {
    let forged = [
        ("merit-cost", "0"),
        ("merit-lease", "x"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
        ("proxy-authorization", "x"),
        ("connection", "x-own, close"),
        ("x-own", "v"),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("x-amz-date", "d"),
        ("amz-sdk-invocation-id", "i"),
    ];
    assert!(passed(false, &forged).is_empty());
}

#[test]
fn cookies_of_the_page_are_left_out() {
    let cookie = |text: &'static str| without_page_cookies(&HeaderValue::from_static(text));
    assert_eq!(cookie("a=1; merit_session=s; b=2").unwrap(), "a=1; b=2");
    assert_eq!(cookie("merit_session=s"), None);
}

#[test]
fn a_function_does_not_act_on_the_origin() {
    let passed = |names: &[&str]| {
        let headers = names.iter().map(|name| (name.parse().unwrap(), HeaderValue::from_static("v"))).collect();
        let mut passed: Vec<String> = of_function(headers).keys().map(ToString::to_string).collect();
        passed.sort();
        passed
    };
    let of_families = ["access-control-allow-origin", "access-control-allow-credentials", "access-control-max-age"];
    let policies = ["content-security-policy", "content-security-policy-report-only"];
    let acting: Vec<&str> = ON_THE_ORIGIN.iter().map(HeaderName::as_str).chain(of_families).chain(policies).collect();
    for name in ["set-cookie", "refresh", "report-to", "alt-svc", "origin-agent-cluster", "sourcemap"] {
        assert!(acting.contains(&name), "{name}");
    }
    assert_eq!(passed(&acting), [""; 0]);
    let own = ["cache-control", "content-type", "etag", "link", "location", "vary", "www-authenticate", "x-own"];
    assert_eq!(passed(&own), own, "what tells of the answer alone passes");
}
