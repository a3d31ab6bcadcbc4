//! Targets: the URLs that endpoints and patterns allow, and those that nothing allows.

use merit_terms::*;

#[track_caller]
fn below(endpoint: &str, target: &str, allowed: bool) {
    assert_eq!(is_at_endpoint(endpoint, target), allowed, "{target} at {endpoint}");
}

#[test]
fn a_path_is_always_at_the_endpoint() {
    for target in ["", "/", "/resize?size=2", "arn:aws:lambda:us-east-1:1:function:thumb"] {
        below("http://127.0.0.1:9000/base", target, true);
    }
}

#[test]
fn a_url_is_at_an_endpoint_by_whole_segments() {
    let endpoint = "http://fn.example:9000/base";
    for target in ["/base", "/base/", "/base/resize", "/base/resize?to=http://x", "/base//x", "/base/a.b/..c"] {
        below(endpoint, &format!("http://fn.example:9000{target}"), true);
    }
    for target in ["", "/", "/bas", "/based", "/base2/x", "/Base", "//base", "/other", "?/base"] {
        below(endpoint, &format!("http://fn.example:9000{target}"), false);
    }
    for target in ["https://fn.example:9000/base", "http://fn.example/base", "http://fn.example:9001/base"] {
        below(endpoint, target, false);
    }
    below("https://fn.example", "HTTPS://FN.example:443/x", true);
    below("http://fn.example/", "http://fn.example:80", true);
    below("http://[::1]:9000", "http://[::1]:9000/x", true);
    below("", "http://fn.example/", false);
}

#[test]
fn other_spellings_of_an_address_are_other_hosts() {
    let endpoint = "http://127.0.0.1:9000";
    for host in ["localhost", "127.1", "2130706433", "0x7f.0.0.1", "[::ffff:127.0.0.1]", "127.0.0.1.", "0.0.0.0", ""] {
        below(endpoint, &format!("http://{host}:9000/x"), false);
    }
}

#[test]
fn what_readers_could_understand_differently_is_allowed_nowhere() {
    let pattern: TargetPattern = "http://fn.example/a/*".parse().unwrap();
    for rest in [
        "/a/../b",
        "/a/..",
        "/a/./b",
        "/a/..;x/b",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/x%2f..%2fb",
        "/a/%252e%252e/b",
        "/a/%25252fb",
        "/a/x%5c..",
        "/a/x\\..\\b",
        "/a/x y",
        "/a/x\u{7f}",
        "/a/ü",
        "/a/x#y",
        "/a/x?y#z",
        "@other/a/",
        ":0/a/",
        ":65536/a/",
        ":/a/",
        ":80:80/a/",
        "\\@other/a/",
        "%2fa/",
    ] {
        let url = format!("http://fn.example{rest}");
        assert!(!pattern.matches(&url), "{url}");
        below("http://fn.example", &url, false);
    }
    for url in ["http://user@fn.example/a/", "http://u:p@fn.example/a/", "http:///a/", "ftp://fn.example/a/", "http://"]
    {
        assert!(!pattern.matches(url), "{url}");
    }
}

#[test]
fn a_pattern_allows_one_url_or_all_below_it() {
    let all: TargetPattern = "https://fn.example/a/*".parse().unwrap();
    let one: TargetPattern = "https://fn.example/a".parse().unwrap();
    let check = |pattern: &TargetPattern, url: &str| (pattern.matches(url), pattern.covers(url));
    assert_eq!(check(&all, "https://fn.example/a/b/c"), (true, true));
    assert_eq!(check(&all, "https://fn.example/a"), (true, true));
    assert_eq!(check(&all, "https://fn.example/ab"), (false, false));
    assert_eq!(check(&one, "https://fn.example/a?x=1"), (true, false));
    assert_eq!(check(&one, "https://fn.example/a/b"), (false, false));
    let root: TargetPattern = "https://fn.example/*".parse().unwrap();
    assert_eq!(check(&root, "https://fn.example"), (true, true));
    assert_eq!(check(&root, "https://fn.example.evil/"), (false, false));
}

#[test]
fn a_wrong_pattern_is_refused_with_its_form() {
    let long = format!("http://a/{}", "x".repeat(512));
    for text in [
        "",
        "*",
        "/a/*",
        "fn.example/*",
        "https://*.example/*",
        "https://fn.example/*/x",
        "https://fn.example/a*",
        "https://fn.example/a?x",
        "https://u@fn.example/*",
        "https://fn.example/../*",
        "https://fn.example:0/*",
        &long,
    ] {
        let error = text.parse::<TargetPattern>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{text}` is no pattern of targets, such as https://")), "{error}");
    }
}
