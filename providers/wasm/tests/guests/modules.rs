//! The cache of compiled modules, and refused modules.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use merit_wasm::{GuestOutcome, ModuleError, ModuleSettings, Runtime, RuntimeSettings, digest};

use crate::kit::{compiled, host, job, load, run, runtime, sample};

async fn refusal(wasm: &[u8]) -> ModuleError {
    let wasm = Bytes::copy_from_slice(wasm);
    load(&runtime(1), digest(&wasm), wasm).await.unwrap_err()
}

async fn refusal_of_text(wat: &str) -> String {
    refusal(&wat::parse_str(wat).unwrap()).await.to_string()
}

#[tokio::test]
async fn bytes_that_are_no_module_are_not_web_assembly() {
    for bytes in [&b""[..], b"(module)", b"#!/bin/sh\n", b"\0asm\x01\0\0\0\xff", b"\0asm\x0d\0\x01\0"] {
        let refused = refusal(bytes).await;
        assert!(matches!(refused, ModuleError::NotWebAssembly(_)), "{bytes:?}: {refused:?}");
        assert!(refused.to_string().starts_with("not WebAssembly: "), "{refused}");
    }
}

#[tokio::test]
async fn an_import_beyond_preview_1_is_named() {
    let wat = r#"(module (import "env" "launch" (func)) (func (export "_start")))"#;
    let expected = "imports env.launch which WASI preview 1 does not have";
    assert_eq!(refusal_of_text(wat).await, expected);
}

#[tokio::test]
async fn an_import_with_another_type_is_refused() {
    let wat = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (func (export "_start")))"#;
    let refused = refusal_of_text(wat).await;
    assert!(refused.starts_with("imports something of WASI preview 1 with another type: "), "{refused}");
}

#[tokio::test]
async fn a_module_without_start_is_refused() {
    for wat in [
        "(module)",
        r#"(module (memory (export "_start") 1))"#,
        r#"(module (func (export "_start") (param i32)))"#,
        r#"(module (func (export "start")))"#,
    ] {
        let refused = refusal_of_text(wat).await;
        assert!(refused.starts_with("has no _start"), "{wat}: {refused}");
    }
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused_and_not_cached() {
    let runtime = runtime(1);
    let (echo, wait) = (sample("echo"), sample("wait"));
    let refused = load(&runtime, digest(&echo), wait).await.unwrap_err();
    assert_eq!(refused, ModuleError::OtherDigest);
    assert!(runtime.modules().get(&digest(&echo)).is_none());

    let host = host(&runtime, 1, 1.0);
    let module = compiled(&runtime, echo).await;
    assert_eq!(&run(&host, job(&module, "still echo")).await.output[..], b"still echo");
}

/// Makes a runtime that keeps modules in a directory, and one after the other in memory.
fn keeping(directory: &Path) -> Arc<Runtime> {
    let modules = ModuleSettings { max_bytes: 1, directory: Some(directory.to_owned()), ..ModuleSettings::default() };
    Runtime::new(RuntimeSettings { threads: 1, modules }).unwrap()
}

#[tokio::test]
async fn the_least_recently_used_modules_are_evicted_by_bytes() {
    let modules = ModuleSettings { max_bytes: 1, ..ModuleSettings::default() };
    let runtime = Runtime::new(RuntimeSettings { threads: 1, modules }).unwrap();
    let forgotten = compiled(&runtime, sample("echo")).await;
    compiled(&runtime, sample("wait")).await;
    assert!(runtime.modules().get(&digest(&sample("echo"))).is_none());
    assert!(runtime.modules().get(&digest(&sample("wait"))).is_some(), "the last one stays");
    let host = host(&runtime, 1, 1.0);
    assert_eq!(run(&host, job(&forgotten, "x")).await.outcome, GuestOutcome::Ok);
    let runtime = crate::kit::runtime(1);
    for name in ["echo", "wait", "sha256"] {
        compiled(&runtime, sample(name)).await;
    }
    assert!(runtime.modules().get(&digest(&sample("echo"))).is_some(), "there is room for all");
}

#[tokio::test]
async fn a_compiled_module_is_found_by_the_next_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let echo = digest(&sample("echo"));
    assert!(keeping(directory.path()).modules().find(echo).await.unwrap().is_none());
    compiled(&keeping(directory.path()), sample("echo")).await;
    let runtime = keeping(directory.path());
    assert!(runtime.modules().get(&echo).is_none());
    let found = runtime.modules().find(echo).await.unwrap().unwrap();
    assert_eq!(&run(&host(&runtime, 1, 1.0), job(&found, "kept")).await.output[..], b"kept");
}

#[tokio::test]
async fn a_damaged_artefact_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    compiled(&keeping(directory.path()), sample("echo")).await;
    let mut files = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
    let file = files.find(|file| file.is_file()).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(keeping(directory.path()).modules().find(digest(&sample("echo"))).await.unwrap().is_none());
    assert!(!file.exists(), "it is removed");
}

#[tokio::test]
async fn a_compilation_goes_on_after_its_caller_left() {
    let runtime = runtime(1);
    let wasm = sample("sha256");
    let digest = digest(&wasm);
    let of_caller = Arc::clone(&runtime);
    let caller = tokio::spawn(async move { load(&of_caller, digest, wasm).await });
    tokio::task::yield_now().await;
    caller.abort();
    while runtime.modules().get(&digest).is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn concurrent_calls_for_one_digest_get_one_module() {
    let runtime = runtime(1);
    let wasm = sample("sha256");
    let loads = (0..8).map(|_| load(&runtime, digest(&wasm), wasm.clone()));
    assert!(join_all(loads).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn hosts_of_one_runtime_share_its_modules() {
    let runtime = runtime(2);
    let hosts = [host(&runtime, 1, 1.0), host(&runtime, 1, 0.5)];
    let module = compiled(&runtime, sample("echo")).await;
    for host in &hosts {
        assert_eq!(&run(host, job(&module, "both")).await.output[..], b"both");
    }
}
