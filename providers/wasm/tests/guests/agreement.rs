//! The check at upload and the host agree: a module that passes the check starts in the host.

use merit_module::{FUNCTIONS_MAX, GLOBALS_MAX, IMPORTS, TABLE_ELEMENTS_MAX, TABLES_MAX, check};
use merit_wasm::{GuestOutcome, HostFailure, digest};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use crate::kit::{host, job, load, runtime, seat};

/// Draws modules near the limits of the check, about half of them beyond one.
struct Generator {
    chance: Pcg64,
}

impl Generator {
    fn one_in(&mut self, parts: u32) -> bool {
        self.chance.random_ratio(1, parts)
    }

    fn types(&mut self, letters: &str) -> String {
        let wrong = self.one_in(40);
        let letters = if wrong { format!("{letters}i") } else { letters.to_owned() };
        letters.chars().map(|letter| if letter == 'I' { " i64" } else { " i32" }).collect()
    }

    fn import(&mut self) -> String {
        let (name, parameters, results) = *IMPORTS.choose(&mut self.chance).unwrap();
        if self.one_in(30) {
            return r#"(import "wasi_snapshot_preview1" "fd_write" (memory 1))"#.to_owned();
        }
        let (parameters, results) = (self.types(parameters), self.types(results));
        format!(r#"(import "wasi_snapshot_preview1" "{name}" (func (param{parameters}) (result{results})))"#)
    }

    /// Draws a count: mostly few, else at the limit or just beyond it.
    fn count(&mut self, most: u32) -> usize {
        let few = self.chance.random_range(0..3);
        *[few, few, few, most - 2, most + 1].choose(&mut self.chance).unwrap() as usize
    }

    fn module(&mut self) -> String {
        let imports: String = (0..self.chance.random_range(0..6)).map(|_| self.import()).collect();
        let size = self.count(TABLE_ELEMENTS_MAX);
        let kind = *["funcref", "externref"].choose(&mut self.chance).unwrap();
        let tables = format!("(table {size} {kind})").repeat(self.count(TABLES_MAX));
        let many = self.one_in(20);
        let functions = "(func)".repeat(if many { self.count(FUNCTIONS_MAX) } else { 2 });
        let globals = "(global (mut i64) (i64.const 7))".repeat(if many { self.count(GLOBALS_MAX) } else { 2 });
        let declared = if self.one_in(3) { "(elem declare func $main)" } else { "" };
        let pages = *[1, 1, 16, 1_000, 65_536].choose(&mut self.chance).unwrap();
        let data =
            *["", r#"(data (i32.const 70000) "beyond")"#, r#"(data "passive")"#].choose(&mut self.chance).unwrap();
        let start = if self.one_in(4) { "(func $first unreachable) (start $first)" } else { "" };
        let body = *["", "unreachable", "(drop (memory.grow (i32.const 70000)))"].choose(&mut self.chance).unwrap();
        format!(
            r#"(module {imports} {tables} {globals} (memory (export "memory") {pages}) {data}
                (func $main (export "_start") {body}) {start} {functions} {declared})"#
        )
    }
}

#[tokio::test]
async fn a_module_that_passes_the_check_starts_in_the_host() {
    let runtime = runtime(1);
    let host = host(&runtime, 1, 1.0);
    let mut generator = Generator { chance: Pcg64::seed_from_u64(7) };
    let (mut passed, mut outcomes) = (0, Vec::new());
    for _ in 0..300 {
        let text = generator.module();
        let wasm = wat::parse_str(&text).unwrap();
        if check(&wasm).is_err() {
            continue;
        }
        passed += 1;
        let head = &text[..text.len().min(600)];
        let loaded = load(&runtime, digest(&wasm), wasm.into()).await;
        let module = loaded.unwrap_or_else(|error| panic!("{error}: {head}"));
        match seat(&host).run(job(&module, "")).await {
            Ok(run) => outcomes.push(run.outcome),
            Err(HostFailure::NotStarted(why)) => panic!("not started: {why}: {head}"),
            Err(lost) => panic!("{lost}: {head}"),
        }
    }
    assert!((60..250).contains(&passed), "{passed} of 300 pass");
    let has = |outcome: &GuestOutcome| outcomes.iter().any(|other| other == outcome);
    assert!(has(&GuestOutcome::Ok) && has(&GuestOutcome::OutOfMemory), "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| matches!(outcome, GuestOutcome::Trap(_))));
}

#[tokio::test]
async fn a_start_section_that_fails_is_the_modules_own() {
    let failing = [
        // An exit status beyond 125, more random bytes than a call may ask for, and more clocks than a guest may have.
        ("proc_exit", "(param i32)", "(call $host (i32.const 200))"),
        ("random_get", "(param i32 i32) (result i32)", "(drop (call $host (i32.const 0) (i32.const 2097152)))"),
        (
            "poll_oneoff",
            "(param i32 i32 i32 i32) (result i32)",
            "(drop (call $host (i32.const 0) (i32.const 200000) (i32.const 3000) (i32.const 199992)))",
        ),
    ];
    let runtime = runtime(1);
    let host = host(&runtime, 1, 1.0);
    for (import, of_type, body) in failing {
        let wat = format!(
            r#"(module (import "wasi_snapshot_preview1" "{import}" (func $host {of_type})) (memory (export "memory") 64)
                (func $first {body}) (start $first) (func (export "_start")))"#
        );
        let wasm = wat::parse_str(&wat).unwrap();
        check(&wasm).unwrap();
        let module = load(&runtime, digest(&wasm), wasm.into()).await.unwrap();
        let run = seat(&host).run(job(&module, "")).await.unwrap();
        assert!(matches!(run.outcome, GuestOutcome::Trap(_)), "{import}: {:?}", run.outcome);
    }
}
