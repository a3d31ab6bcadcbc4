//! Hosts and foreign pages on keyless loopback, by cases.

use super::*;

#[test]
fn only_loopback_names_are_served() {
    for host in ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.9.9.9"] {
        assert!(is_loopback(host), "{host}");
    }
    for host in ["example.com", "127.0.0.1.example.com", "localhost.example.com:80", "10.0.0.1", "", "a b"] {
        assert!(!is_loopback(host), "{host}");
    }
}

#[test]
fn a_foreign_page_changes_nothing() {
    let check = |method: Method, origin: &str| {
        let headers = HeaderMap::from_iter([(header::ORIGIN, origin.parse().unwrap())]);
        check_parts(&method, &headers, Some("127.0.0.1:8080")).is_ok()
    };
    assert!(!check(Method::POST, "https://evil.example"));
    assert!(!check(Method::POST, "null"));
    assert!(!check(Method::PUT, "http://127.0.0.1:9999"));
    assert!(check(Method::POST, "http://127.0.0.1:8080"));
    assert!(check(Method::GET, "https://evil.example"));
}

#[test]
fn a_page_of_another_site_calls_no_function() {
    let check = |path: &str, site: &str| {
        let request = Request::builder().uri(path).header("host", "localhost").header("sec-fetch-site", site);
        check(&request.body(axum::body::Body::empty()).unwrap()).is_ok()
    };
    for door in ["/fn/f", "/fn/f/path", "/function/f", "/function/f/path"] {
        assert!(!check(door, "cross-site"), "{door}");
        assert!(check(door, "same-origin") && check(door, "none"), "{door}");
    }
    assert!(check("/v1/markets", "cross-site"), "a link to what only tells is no call");
}
