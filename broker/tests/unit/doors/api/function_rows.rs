//! Functions as JSON.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_canary_s_weight_is_a_part_of_one() {
    let function = Function {
        canaries: BTreeMap::from([("live".to_owned(), Canary { revision: 4, weight: 100 })]),
        ..Function::default()
    };
    assert_eq!(weights_json(&function), json!({"live": {"4": 0.1}}));
}
