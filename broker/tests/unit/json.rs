//! JSON bodies that are refused, and exact energy.

use serde_json::json;

use super::*;

#[test]
fn energy_is_exact() {
    assert_eq!(gb_seconds(128, 41), "0.005125");
    assert_eq!(gb_seconds(512, 100), "0.05");
}

#[test]
fn a_field_of_another_type_is_named() {
    let error = typed::<std::collections::BTreeMap<String, u32>>(json!({"memory_mb": -1})).unwrap_err();
    assert!(error.message.starts_with("memory_mb: "), "{}", error.message);
}

#[test]
fn a_mistyped_field_is_answered_with_the_nearest() {
    let error = read::<Value>(br#"{"memory_bm": 1}"#, &["memory_mb", "timeout_ms"]).unwrap_err();
    assert!(error.message.contains("`memory_bm` is not known; did you mean `memory_mb`?"), "{}", error.message);
    assert!(read::<Value>(b"[1]", &[]).unwrap_err().message.contains("not a JSON object"));
    assert!(read::<Value>(b"{", &[]).unwrap_err().message.contains("not JSON"));
}
