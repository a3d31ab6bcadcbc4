//! Which headers of a caller reach a function, and which of a function's reach its caller.
//!
//! Owns what holds for every door and every kind of provider: what is of one connection alone, what frames a body, and
//! what is Merit's own. Never knows credentials or cookies: taking those out is the broker's.

use std::collections::HashSet;

use http::header::{self, HeaderMap, HeaderName};

/// Headers of one connection (RFC 9110 section 7.6.1, and what came before it), and those that frame a body, which is
/// framed anew.
const OF_THE_CONNECTION: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    header::CONTENT_LENGTH,
];
/// Also not of the function: to whom the caller spoke, and what it waits for.
const OF_THE_REQUEST: [HeaderName; 2] = [header::HOST, header::EXPECT];
/// Also not for the caller: where else this origin is to be found, of which a function knows nothing.
const OF_THE_ANSWER: [HeaderName; 1] = [header::ALT_SVC];

/// What of a caller's headers may be passed on to a function.
pub fn forwarded_request_headers(headers: &HeaderMap) -> HeaderMap {
    forwarded(headers, &OF_THE_REQUEST)
}

/// What of a function's headers may be passed on to its caller.
pub fn forwarded_answer_headers(headers: &HeaderMap) -> HeaderMap {
    forwarded(headers, &OF_THE_ANSWER)
}

/// Whether a header is Merit's own, in either direction.
pub fn is_merit_s(name: &HeaderName) -> bool {
    name.as_str().starts_with("merit-")
}

fn forwarded(headers: &HeaderMap, also_kept: &[HeaderName]) -> HeaderMap {
    let nominated = nominated(headers);
    let kept_back = |name: &HeaderName| {
        is_merit_s(name) || OF_THE_CONNECTION.contains(name) || also_kept.contains(name) || nominated.contains(name)
    };
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !kept_back(name)) {
        passed.append(name.clone(), value.clone());
    }
    passed
}

/// What a connection names as its own.
fn nominated(headers: &HeaderMap) -> HashSet<HeaderName> {
    let lists = headers.get_all(header::CONNECTION).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

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
    fn what_is_the_application_s_is_passed_on_as_it_is() {
        let own = [("accept", "a"), ("accept", "b"), ("authorization", "Bearer x"), ("cookie", "c=1")];
        assert_eq!(request(&own), ["accept: a", "accept: b", "authorization: Bearer x", "cookie: c=1"]);
        let own = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("location", "/x"), ("content-type", "text/html")];
        assert_eq!(answer(&own), ["set-cookie: a=1", "set-cookie: b=2", "location: /x", "content-type: text/html"]);
    }

    #[test]
    fn what_is_of_the_connection_stays_there() {
        for name in OF_THE_CONNECTION {
            assert_eq!(request(&[(name.as_str(), "x")]), [""; 0], "{name}");
            assert_eq!(answer(&[(name.as_str(), "x")]), [""; 0], "{name}");
        }
        assert_eq!(request(&[("host", "a"), ("expect", "100-continue"), ("x", "y")]), ["x: y"]);
        assert_eq!(answer(&[("alt-svc", "h3=\"elsewhere:443\""), ("x", "y")]), ["x: y"]);
        assert_eq!(answer(&[("host", "a")]), ["host: a"]);
    }

    #[test]
    fn what_a_connection_names_stays_there_too() {
        let named = [("connection", "close, X-One"), ("connection", " x-two ,,\"bad\" name"), ("x-one", "1")];
        let more = [("x-two", "2"), ("x-three", "3")];
        assert_eq!(request(&[&named[..], &more[..]].concat()), ["x-three: 3"]);
        assert_eq!(answer(&[&more[..], &named[..]].concat()), ["x-three: 3"]);
    }

    #[test]
    fn what_is_merit_s_is_never_passed_on() {
        let own = [("merit-cost", "0"), ("Merit-Lease", "t"), ("merit-", ""), ("merits", "1"), ("x-merit-cost", "2")];
        assert_eq!(request(&own), ["merits: 1", "x-merit-cost: 2"]);
        assert_eq!(answer(&own), ["merits: 1", "x-merit-cost: 2"]);
    }
}
