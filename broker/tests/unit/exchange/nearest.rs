//! The nearest known name, by cases.

use super::*;

#[track_caller]
fn check(name: &str, known: &[&str], expected: Option<&str>) {
    let known: Vec<String> = known.iter().copied().map(str::to_owned).collect();
    assert_eq!(nearest(name, &known), expected, "{name}");
}

#[test]
fn the_nearest_name_within_two_letters_is_told() {
    check("eu-wst/wasm", &["eu-east/wasm", "eu-west/wasm", "local/wasm"], Some("eu-west/wasm"));
    check("ehco", &["wait", "echo"], Some("echo"));
    check("ec", &["wait", "echo"], None);
    check("thumbnail", &["thumb"], None);
    check("c", &["a", "b"], None);
    check("bb", &["ab", "ba"], Some("ab"));
    check("x", &[], None);
}

#[test]
fn a_known_name_has_no_nearer_one() {
    check("echo", &["echo", "echo2"], None);
}
