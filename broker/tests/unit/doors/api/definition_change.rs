//! Patches of a definition, and the fields that a `PUT` would reset.

use super::*;
use crate::exchange::functions::FunctionLimits;

/// Returns a function with every field of its definition set.
fn full() -> Function {
    let fields = json!({
        "memory_mb": 256, "timeout_ms": 5000, "idempotent": true, "providers": ["a"], "markets": ["eu-*/wasm"],
        "max_concurrency": 7, "labels": {"team": "media"}, "environment": {"MODE": "fast"},
        "limits": {"max_cost": "0.5", "max_price": "0.00003", "max_latency_ms": 800, "only": ["a"], "ignore": ["b"]},
        "budgets": [{"period": "day", "amount": "1.5"}], "module": "00".repeat(32),
        "deployments": [{"provider": "a", "target": "/f"}], "public": {"requests_per_second": 5}, "logs": false,
    });
    of(fields)
}

fn of(fields: Value) -> Function {
    let definition = Definition::of(fields).unwrap();
    let revisions = vec![definition.code().unwrap()];
    Function { revisions, settings: definition.settings().unwrap(), ..Function::default() }
}

#[test]
fn a_definition_says_all_that_it_was_defined_by() {
    let fields = definition_json(&full());
    assert_eq!(fields.as_object().unwrap().len(), FIELDS.len());
    assert_eq!(definition_json(&of(fields.clone())), fields);
}

#[test]
fn a_patch_changes_what_it_names_alone() {
    for (patch, path, expected) in [
        (json!({"memory_mb": 512}), "/memory_mb", json!(512)),
        (json!({"memory_mb": null}), "/memory_mb", json!(128)),
        (json!({"limits": {"max_cost": null}}), "/limits/max_cost", Value::Null),
        (json!({"limits": {"only": null}}), "/limits/only", json!([])),
        (json!({"labels": {"team": "web"}}), "/labels/team", json!("web")),
        (json!({"providers": null}), "/providers", json!("own")),
        (json!({"public": null}), "/public", Value::Null),
        (json!({"logs": true}), "/logs", json!(true)),
        (json!({"budgets": null}), "/budgets", json!([])),
    ] {
        let (code, settings) = patched(&full(), patch.clone()).unwrap();
        let mut changed = definition_json(&Function { revisions: vec![code], settings, ..Function::default() });
        assert_eq!(changed.pointer(path), Some(&expected), "{patch}");
        *changed.pointer_mut(path).unwrap() = definition_json(&full()).pointer(path).unwrap().clone();
        assert_eq!(changed, definition_json(&full()), "{patch}");
    }
}

#[test]
fn a_patch_keeps_limits_that_no_definition_has() {
    let markets = vec!["eu-*/wasm".to_owned()];
    let limits = Some(FunctionLimits { markets: markets.clone(), ..FunctionLimits::default() });
    let function = Function { settings: FunctionSettings { limits, ..FunctionSettings::default() }, ..full() };
    let (_, settings) = patched(&function, json!({"limits": {"max_cost": "1"}})).unwrap();
    assert_eq!(settings.limits.unwrap().markets, markets);
}

#[test]
fn a_put_names_what_is_set_or_would_reset_it() {
    let error = check_reset(&full(), &json!({"memory_mb": 256})).unwrap_err();
    assert_eq!((error.code, error.status().as_u16()), (ErrorCode::WouldReset, 409));
    let all: Vec<&str> = FIELDS.into_iter().filter(|field| !["memory_mb", "module"].contains(field)).collect();
    assert_eq!(error.details, json!({"fields": all}));
    let mut named = definition_json(&full());
    check_reset(&full(), &named).unwrap();
    named.as_object_mut().unwrap().remove("budgets");
    assert!(check_reset(&full(), &named).unwrap_err().message.contains("does not name: budgets. "));
    let new = Function { revisions: vec![new_code()], ..Function::default() };
    check_reset(&new, &json!({})).unwrap();
}
