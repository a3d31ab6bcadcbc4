//! The variables of a passed call, and outputs that are documents.

use super::*;

const GET: PassedText<'static> =
    PassedText { method: "GET", path: "/a%20b/c", query: Some("q=%20"), host: Some("api.example:8443"), remote: None };

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
fn the_variables_are_those_of_the_standard() {
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
