//! Public functions: their rate is part of the definition, bounded, and part of the state.

use merit_engine::FunctionSettings;
use merit_kit::{Floor, code, settings};

fn public(rate: u32) -> FunctionSettings {
    FunctionSettings { public_per_second: Some(rate), ..settings() }
}

/// Returns the digest of a market after these definitions of the function.
fn digest(definitions: &[FunctionSettings]) -> u128 {
    let mut floor = Floor::new();
    for settings in definitions {
        floor.put("hello", code(), settings.clone());
    }
    let revisions = floor.engine.function(floor.function).unwrap().revisions.len();
    assert_eq!(revisions, 1, "it is no other code");
    floor.engine.digest()
}

#[test]
fn a_public_rate_is_part_of_the_digest() {
    let [private, five, six] = [settings(), public(5), public(6)];
    let [of_private, of_five, of_six] = [&private, &five, &six].map(|last| digest(&[five.clone(), last.clone()]));
    assert!(of_private != of_five && of_five != of_six && of_six != of_private);
    assert_eq!(of_private, digest(&[private.clone(), private]));
}
