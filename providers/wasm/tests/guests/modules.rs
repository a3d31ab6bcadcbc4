//! The cache of compiled modules, and refused modules.

use bytes::Bytes;
use futures_util::future::join_all;
use merit_wasm::{GuestOutcome, ModuleError, Runtime, RuntimeSettings, digest};

use crate::kit::{compiled, host, job, run, runtime, sample};

async fn refusal(wasm: &[u8]) -> ModuleError {
    let wasm = Bytes::copy_from_slice(wasm);
    runtime(1).modules().load(digest(&wasm), wasm).await.unwrap_err()
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
    let refused = runtime.modules().load(digest(&echo), wait).await.unwrap_err();
    assert_eq!(refused, ModuleError::OtherDigest);
    assert!(runtime.modules().get(&digest(&echo)).is_none());

    let host = host(&runtime, 1, 1.0);
    let module = compiled(&runtime, echo).await;
    assert_eq!(&run(&host, job(&module, "still echo")).await.output[..], b"still echo");
}

#[tokio::test]
async fn the_least_recently_used_module_is_evicted() {
    let runtime = Runtime::new(RuntimeSettings { threads: 1, modules: 2 }).unwrap();
    let names = ["echo", "wait", "sha256"];
    let [echo, wait, sha256] = names.map(|name| digest(&sample(name)));
    let forgotten = compiled(&runtime, sample("echo")).await;
    compiled(&runtime, sample("wait")).await;
    assert!(runtime.modules().get(&echo).is_some());
    compiled(&runtime, sample("sha256")).await;
    assert!(runtime.modules().get(&wait).is_none());
    assert!(runtime.modules().get(&echo).is_some());
    assert!(runtime.modules().get(&sha256).is_some());

    compiled(&runtime, sample("wait")).await;
    compiled(&runtime, sample("sha256")).await;
    assert!(runtime.modules().get(&echo).is_none());
    let host = host(&runtime, 1, 1.0);
    assert_eq!(run(&host, job(&forgotten, "x")).await.outcome, GuestOutcome::Ok);
}

#[tokio::test]
async fn concurrent_calls_for_one_digest_compile_once() {
    let runtime = runtime(1);
    let wasm = sample("sha256");
    // Only the first has the right bytes; any other would be refused if it compiled.
    let first = runtime.modules().load(digest(&wasm), wasm.clone());
    let others = (0..8).map(|_| runtime.modules().load(digest(&wasm), Bytes::new()));
    let loaded = join_all(
        std::iter::once(first)
            .map(futures_util::future::Either::Left)
            .chain(others.map(futures_util::future::Either::Right)),
    );
    assert!(loaded.await.iter().all(Result::is_ok));
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
