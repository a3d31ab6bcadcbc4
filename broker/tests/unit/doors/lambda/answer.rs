//! Failures of functions as Lambda tells them.

use super::*;

fn failed(outcome: Outcome, status: u16, body: &'static str) -> Option<(&'static str, String)> {
    let status = StatusCode::from_u16(status).unwrap();
    let failed = function_error(outcome, status, &Bytes::from_static(body.as_bytes()), Some("code 3".into()), 3000);
    failed.map(|(kind, body)| (kind, String::from_utf8(body.to_vec()).unwrap()))
}

#[test]
fn a_function_s_failure_is_told_as_lambda_tells_it() {
    assert_eq!(failed(Outcome::Ok, 200, "out"), None);
    let own = r#"{"errorMessage":"no","errorType":"Mine"}"#;
    assert_eq!(failed(Outcome::Exit, 200, own), Some(("Handled", own.to_owned())));
    assert_eq!(failed(Outcome::Ok, 500, own), Some(("Handled", own.to_owned())));
    let unhandled = |outcome, status| failed(outcome, status, "out").unwrap();
    assert!(unhandled(Outcome::Exit, 200).1.contains("code 3"));
    assert!(unhandled(Outcome::Timeout, 200).1.contains("Task timed out after 3.00 seconds"));
    assert_eq!(unhandled(Outcome::Ok, 404).1, r#"{"errorMessage":"out","errorType":"Http.404"}"#);
    assert_eq!(unhandled(Outcome::Trap, 200).0, "Unhandled");
}
