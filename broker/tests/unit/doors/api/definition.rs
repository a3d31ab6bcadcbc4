//! Definitions of functions and aliases, by cases.

use serde_json::json;

use super::*;

fn code(definition: Value) -> Result<Code, String> {
    let read = fields(definition.to_string().as_bytes()).and_then(Definition::of);
    read.and_then(|definition| definition.code()).map_err(|error| error.message)
}

#[test]
fn deployments_name_each_provider_once_with_a_callable_target() {
    let taken = |target: &str| code(json!({"deployments": [{"provider": "a", "target": target}]}));
    for target in
        ["", "/thumb", "/thumb?code=1", "https://a.example/x", "arn:aws:lambda:us-east-1:1:function:thumb:live"]
    {
        assert_eq!(taken(target).unwrap().deployments["a"], target);
    }
    for target in
        ["//x", "/../x", "http://", "https://u@a", "/x#y", "two words", "caf\u{e9}", "a\nb", &"x".repeat(1025)]
    {
        assert!(taken(target).unwrap_err().starts_with("deployments[0].target: "), "{target}");
    }
    let refused = |deployments: Value| code(json!({"deployments": deployments})).unwrap_err();
    let twice = refused(json!([{"provider": "a", "target": ""}, {"provider": "a", "target": "/x"}]));
    assert!(twice.contains("deployments[1].provider: `a` stands there twice"), "{twice}");
    assert!(refused(json!([{"provider": "A b", "target": ""}])).starts_with("deployments[0].provider: "));
    assert!(refused(json!([{"provider": "a"}])).contains("target"));
    assert!(refused(json!([{"provider": "a", "targte": ""}])).contains("did you mean `target`?"));
    let many: Vec<Value> = (0..65).map(|number| json!({"provider": format!("p{number}"), "target": ""})).collect();
    assert!(refused(json!(many)).contains("at most 64"));
}

#[test]
fn a_weight_is_a_part_of_one_in_thousandths() {
    let canary = |weights: Value| {
        let alias: AliasBody = serde_json::from_value(json!({"revision": 3, "weights": weights})).unwrap();
        alias.canary().map(|canary| canary.map(|canary| (canary.revision, canary.weight)))
    };
    for (weight, thousandths) in [
        (json!(0.1), 100),
        (json!(0.001), 1),
        (json!(0), 0),
        (json!(1), 1000),
        (json!("0.25"), 250),
        (json!(0.999), 999),
    ] {
        assert_eq!(canary(json!({"4": weight})).unwrap(), Some((4, thousandths)), "{weight}");
    }
    assert_eq!(canary(json!({})).unwrap(), None);
    for weight in [json!(0.0001), json!(1.001), json!(-0.1), json!("a"), json!(null), json!(2), json!(1e30)] {
        assert!(canary(json!({"4": weight})).unwrap_err().message.contains("three decimal places"), "{weight}");
    }
    assert!(canary(json!({"four": 0.1})).is_err());
    assert!(canary(json!({"4": 0.1, "5": 0.1})).unwrap_err().message.contains("at most one"));
}
