//! The check of modules by cases: the language, the imports with their types, and the limits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use merit_module::{FUNCTIONS_MAX, GLOBALS_MAX, IMPORTS, ModuleFault, TABLE_ELEMENTS_MAX, TABLES_MAX, check};

/// The exports that every module needs.
const EXPORTS: &str = r#"(memory (export "memory") 1) (func (export "_start"))"#;

fn verdict(parts: &str) -> Result<(), ModuleFault> {
    check(&wat::parse_str(format!("(module {parts} {EXPORTS})")).unwrap())
}

fn message(parts: &str) -> String {
    verdict(parts).unwrap_err().to_string()
}

fn types(letters: &str) -> String {
    letters.chars().map(|letter| if letter == 'I' { " i64" } else { " i32" }).collect()
}

fn import(name: &str, parameters: &str, results: &str) -> String {
    let (parameters, results) = (types(parameters), types(results));
    format!(r#"(import "wasi_snapshot_preview1" "{name}" (func (param{parameters}) (result{results})))"#)
}

#[test]
fn every_function_of_preview_1_may_be_imported() {
    let imports: String = IMPORTS.iter().map(|(name, parameters, results)| import(name, parameters, results)).collect();
    assert_eq!(verdict(&imports), Ok(()));
}

#[test]
fn an_import_with_another_type_is_named_with_both() {
    let expected = "imports fd_close of WASI preview 1 as (func (param i64) (result i32)); \
        it is (func (param i32) (result i32))";
    assert_eq!(message(&import("fd_close", "I", "i")), expected);
}

#[test]
fn other_imports_are_refused() {
    for what in ["(table 1 funcref)", "(global i32)", "(func)"] {
        let refused = message(&format!(r#"(import "env" "thing" {what})"#));
        assert_eq!(refused, "imports env.thing, which WASI preview 1 does not have");
        let wasi = format!(r#"(import "wasi_snapshot_preview1" "fd_close" {what})"#);
        assert!(verdict(&wasi).is_err(), "{what}");
    }
}

#[test]
fn a_limit_is_kept_and_one_more_is_told() {
    let repeated = |part: &str, count: u32| part.repeat(count as usize);
    for (at, beyond) in [
        (repeated("(table 1 funcref)", TABLES_MAX), "5 tables; at most 4"),
        (format!("(table {TABLE_ELEMENTS_MAX} funcref)"), "100001 elements in a table; at most 100000"),
        (repeated("(func)", FUNCTIONS_MAX - 1), "100001 functions; at most 100000"),
        (repeated("(global i32 (i32.const 0))", GLOBALS_MAX), "100001 global variables; at most 100000"),
    ] {
        assert_eq!(verdict(&at), Ok(()), "{beyond}");
        let one_more = match at.split_once(&TABLE_ELEMENTS_MAX.to_string()) {
            Some((before, after)) => format!("{before}{}{after}", TABLE_ELEMENTS_MAX + 1),
            None => format!("{at}{}", &at[..=at.find(')').unwrap()].replace("(i32.const 0)", "(i32.const 0))")),
        };
        assert!(message(&one_more).ends_with(beyond), "{}", message(&one_more));
    }
}

#[test]
fn features_beyond_the_second_version_are_refused() {
    for part in ["(memory 1)", "(memory i64 1)", "(tag)", "(table 1 externref)"] {
        assert!(matches!(verdict(part), Err(ModuleFault::NotWebAssembly(_))), "{part}");
    }
}
