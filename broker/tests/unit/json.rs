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

#[test]
fn a_patch_merges_as_rfc_7396_has_it() {
    // Appendix A of the RFC.
    for (target, patch, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        let mut merged = target.clone();
        merge(&mut merged, patch.clone());
        assert_eq!(merged, expected, "{target} with {patch}");
    }
}
