//! Paths that are passed through.

use super::*;

#[test]
fn the_function_sees_the_path_after_its_name() {
    let seen = |uri: &str| {
        let parts = http::Request::builder().uri(uri).body(()).unwrap().into_parts().0;
        let passed = passed_through(&parts, 2);
        (passed.path, passed.query)
    };
    let query = |query: &str| Some(query.to_owned());
    assert_eq!(seen("/fn/thumb"), (String::new(), None));
    assert_eq!(seen("/fn/thumb/"), ("/".to_owned(), None));
    assert_eq!(seen("/fn/thumb?a=1"), (String::new(), query("a=1")));
    assert_eq!(seen("/fn/thumb/a/b%2Fc/?q=1&r=%20"), ("/a/b%2Fc/".to_owned(), query("q=1&r=%20")));
    assert_eq!(seen("/fn/thumb//x"), ("//x".to_owned(), None));
}
