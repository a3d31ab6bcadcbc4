//! Connections that can and cannot be set up.

use super::*;

/// Returns the error of a connection, or an empty text.
fn said(url: &str, key: Option<&str>) -> String {
    let key = key.map(|key| key.parse().unwrap());
    let connected = Transport::connect(&Connection { key, ..Connection::to(url) });
    connected.err().map_or_else(String::new, |error| error.to_string())
}

#[tokio::test]
async fn a_key_goes_in_the_clear_to_this_machine_only() {
    for url in ["http://127.0.0.1:7070", "http://localhost:7070", "http://[::1]:7070"] {
        assert_eq!(said(url, Some("key-7.secret")), "");
    }
    for url in ["http://10.0.0.7:7070", "http://localhost.example:7070", "http://127.0.0.1.example:7070"] {
        assert!(said(url, Some("key-7.secret")).contains("in the clear"), "{url}");
        assert_eq!(said(url, None), "");
    }
}

#[tokio::test]
async fn a_text_that_is_no_exchange_url_is_refused() {
    for url in ["127.0.0.1:7070", "ftp://127.0.0.1:7070", "nonsense"] {
        assert!(said(url, None).contains("is not the URL of an exchange"), "{url}: {}", said(url, None));
    }
}

#[tokio::test]
async fn files_that_are_not_there_or_not_needed_are_named() {
    let with = |url: &str, ca: &str| {
        let connection = Connection { ca: Some(ca.into()), ..Connection::to(url) };
        Transport::connect(&connection).unwrap_err().to_string()
    };
    assert!(with("https://exchange:7070", "no/ca.pem").contains("could not read no/ca.pem"));
    assert!(with("http://exchange:7070", "no/ca.pem").contains("without TLS"));
}

#[test]
fn a_key_is_not_printed() {
    let key = "key-7.secret".parse().unwrap();
    let connection = Connection { key: Some(key), ..Connection::to("http://127.0.0.1:7070") };
    assert!(!format!("{connection:?} {:?}", bearer(connection.key.as_ref().unwrap())).contains("secret"));
}
