//! Endpoints, with keys and without.

use super::*;

#[test]
fn without_keys_only_this_machine_is_called() {
    let check = |endpoint: &str, keyless: bool, taken: bool| {
        assert_eq!(
            check_endpoint(endpoint, keyless, v1::Adapter::Http).is_ok(),
            taken,
            "{endpoint}, keyless: {keyless}"
        );
    };
    for endpoint in ["http://127.0.0.1:9000", "http://[::1]:9000", "http://127.0.0.1:9000/base"] {
        check(endpoint, true, true);
        check(endpoint, false, true);
    }
    for endpoint in ["https://127.0.0.1:9000", "http://10.0.0.7", "https://edge.example/run", "http://localhost"] {
        check(endpoint, true, false);
        check(endpoint, false, true);
    }
    let agent = |endpoint| check_endpoint(endpoint, false, v1::Adapter::Agent).is_ok();
    assert!(agent("https://edge.example") && agent("http://127.0.0.1:9000") && !agent("http://edge.example"));
    let long = format!("http://127.0.0.1/{}", "x".repeat(ENDPOINT_MAX_BYTES));
    let never = [
        "http://127.0.0.1:0",
        "http://127.0.0.1:65536",
        "http://[::1]:70000/base",
        "http://127.0.0.1:",
        "",
        "127.0.0.1:9000",
        "ftp://127.0.0.1",
        "http://u@127.0.0.1",
        "http://127.0.0.1/?a",
        "http://127.0.0.1/#a",
    ];
    for endpoint in never.into_iter().chain([long.as_str()]) {
        check(endpoint, true, false);
        check(endpoint, false, false);
    }
}
