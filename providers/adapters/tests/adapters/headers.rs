//! The headers that pass.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use merit_adapters::{forwarded_answer_headers, forwarded_request_headers};

const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
];

fn passed(forward: fn(&HeaderMap) -> HeaderMap, headers: &[(&str, &str)]) -> Vec<String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    forward(&map).iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

fn request(headers: &[(&str, &str)]) -> Vec<String> {
    passed(forwarded_request_headers, headers)
}

fn answer(headers: &[(&str, &str)]) -> Vec<String> {
    passed(forwarded_answer_headers, headers)
}

#[test]
fn headers_of_the_application_pass_unchanged() {
    let own = [("accept", "a"), ("accept", "b"), ("authorization", "Bearer x"), ("cookie", "c=1")];
    assert_eq!(request(&own), ["accept: a", "accept: b", "authorization: Bearer x", "cookie: c=1"]);
    let own = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("location", "/x"), ("content-type", "text/html")];
    assert_eq!(answer(&own), ["set-cookie: a=1", "set-cookie: b=2", "location: /x", "content-type: text/html"]);
}

#[test]
fn headers_of_the_connection_do_not_pass() {
    for name in OF_THE_CONNECTION {
        assert_eq!(request(&[(name, "x")]), [""; 0], "{name}");
        assert_eq!(answer(&[(name, "x")]), [""; 0], "{name}");
    }
    assert_eq!(request(&[("host", "a"), ("expect", "100-continue"), ("x", "y")]), ["x: y"]);
    assert_eq!(answer(&[("host", "a")]), ["host: a"]);
}

#[test]
fn headers_that_a_connection_names_do_not_pass() {
    let named = [("connection", "close, X-One"), ("connection", " x-two ,,\"bad\" name"), ("x-one", "1")];
    let more = [("x-two", "2"), ("x-three", "3")];
    assert_eq!(request(&[&named[..], &more[..]].concat()), ["x-three: 3"]);
    assert_eq!(answer(&[&more[..], &named[..]].concat()), ["x-three: 3"]);
}

#[test]
fn headers_of_merit_never_pass() {
    let own = [("merit-cost", "0"), ("Merit-Lease", "t"), ("merit-", ""), ("merits", "1"), ("x-merit-cost", "2")];
    assert_eq!(request(&own), ["merits: 1", "x-merit-cost: 2"]);
    assert_eq!(answer(&own), ["merits: 1", "x-merit-cost: 2"]);
}
