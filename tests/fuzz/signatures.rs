//! Signatures of AWS version 4, as anybody may send them.
//!
//! The input is text: path, query, the `Authorization` header, then `name: value` headers to an empty line, then the
//! body. Promises: reading and checking end and never panic; nothing is accepted that the secret did not sign.

use merit_broker::fuzzing::{SignedCall, is_signed_by};

/// The time of the seeds, 2026-11-24T12:00:00Z, in seconds since 1970.
const NOON: u64 = 1_795_521_600;

/// Runs the target.
pub fn signatures(input: &[u8]) {
    let (head, body) = match input.windows(2).position(|two| two == b"\n\n") {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &[][..]),
    };
    let Ok(head) = std::str::from_utf8(head) else { return };
    let mut lines = head.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, query, authorization) = (line(), line(), line());
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    let call = SignedCall { method: "POST", path, query, headers: &headers, host: "127.0.0.1:8080", body, now_s: NOON };
    for secret in ["", "a secret that signed nothing", &"long".repeat(100)] {
        assert!(!is_signed_by(authorization, &call, secret), "{head}");
    }
}
