//! Modules get ready beside the market: bounded, kept, and nobody's fault.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::in_both_shapes;
use crate::market::{Market, Shape, sample};
use crate::process::{Process, eventually, merit};

in_both_shapes! {
    a_module_that_compiles_too_long_is_nobodys_failure
    a_restart_and_a_second_provider_compile_nothing
    a_module_no_host_can_run_is_refused_at_upload
    a_deployment_waits_until_its_module_is_ready
    many_headers_of_callers_and_functions_arrive
}

/// A small module that takes the compiler minutes: nested loops over many variables.
fn nested_loops() -> Vec<u8> {
    const DEPTH: usize = 150;
    const VARIABLES: usize = 300;
    let sum = |i: usize| format!("(local.set {i} (i32.add (local.get {i}) (local.get {})))", (i + 1) % VARIABLES);
    let sums: String = (0..VARIABLES).map(sum).collect();
    let (variables, loops) = (" i32".repeat(VARIABLES), "(loop ".repeat(DEPTH));
    let ends = "(br_if 0 (local.get 0)))".repeat(DEPTH);
    let text = format!(
        r#"(module (memory (export "memory") 1) (func (export "_start") (local{variables}) {loops}{sums}{ends}))"#
    );
    wat::parse_str(text).unwrap()
}

async fn provider(market: &Market, name: &str, cache: &Path) -> Process {
    market.provider(name, &["--module-cache", cache.to_str().unwrap()]).await
}

async fn a_module_that_compiles_too_long_is_nobodys_failure(shape: Shape) {
    let market = Market::start(shape).await;
    let cache = TempDir::new().unwrap();
    let provider = provider(&market, "edge", cache.path()).await;
    market.deploy("echo", json!({})).await;
    market.deploy_module("loops", nested_loops(), json!({"timeout_ms": 500})).await;
    let warming = market.invoke("loops", "").await;
    assert_eq!((warming.status.as_u16(), warming.code().as_str()), (503, "no_supply"), "{warming:?}");
    assert!(warming.header("retry-after").parse::<u64>().unwrap() >= 1);
    eventually("another module runs", || async {
        let answer = market.invoke("echo", "beside it").await;
        assert!(answer.text() == "beside it" || answer.code() == "no_supply", "{answer:?}");
        answer.status.is_success().then_some(())
    })
    .await;
    let refused = eventually("the compiler gives up", || async {
        let answer = market.invoke("loops", "").await;
        (answer.code() != "no_supply").then_some(answer)
    });
    let refused = refused.await.message();
    assert!(refused.contains("takes more than 5 s of CPU time"), "{refused}");
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["health"], json!([]), "{listed}");
    assert_eq!(market.invoke("echo", "after it").await.text(), "after it");
    assert!(provider.stop().await.success());
}

async fn a_restart_and_a_second_provider_compile_nothing(shape: Shape) {
    let market = Market::start(shape).await;
    let cache = TempDir::new().unwrap();
    let first = provider(&market, "first", cache.path()).await;
    market.deploy("echo", json!({})).await;
    assert_eq!(market.invoke("echo", "compiled").await.text(), "compiled");
    first.stop().await;
    let kept = || -> Vec<PathBuf> {
        let files = std::fs::read_dir(cache.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.is_file()).collect()
    };
    let before = kept();
    let [artefact] = &before[..] else { panic!("{before:?}") };
    let made = std::fs::metadata(artefact).unwrap().modified().unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let _second = provider(&market, "second", cache.path()).await;
    assert_eq!(market.invoke("echo", "found").await.text(), "found");
    let used = std::fs::metadata(artefact).unwrap().modified().unwrap();
    assert!(used > made, "it is marked as used, not written anew");
    assert_eq!(kept(), before);
}

async fn a_module_no_host_can_run_is_refused_at_upload(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy_module("taken", sample("echo"), json!({})).await;
    let big =
        wat::parse_str(r#"(module (memory (export "memory") 1) (table 10000000 funcref) (func (export "_start")))"#);
    let refused = market.call(http::Method::PUT, "/v1/functions/big/module", &[], big.unwrap()).await;
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.message(), "has 10000000 elements in a table; at most 100000");
}

async fn a_deployment_waits_until_its_module_is_ready(shape: Shape) {
    let market = Market::start(shape).await;
    let cache = TempDir::new().unwrap();
    let deploy = |module: PathBuf, wait: &'static str| {
        merit().args(["deploy", "waited", "--broker", &market.http, wait]).arg(module).output()
    };
    let file = |name: &str, module: Vec<u8>| {
        let path = cache.path().join(name);
        std::fs::write(&path, module).unwrap();
        path
    };
    let alone = deploy(file("echo.wasm", sample("echo")), "--wait=1").await.unwrap();
    let said = String::from_utf8_lossy(&alone.stderr);
    assert!(!alone.status.success() && said.contains("no provider offers to run the function"), "{said}");
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(said.contains("no provider offers to run it yet; waiting up to 1 s"), "{said}");
    let _edge = provider(&market, "edge", &cache.path().join("cache")).await;
    let waited = deploy(file("echo.wasm", sample("echo")), "--wait").await.unwrap();
    let said = String::from_utf8_lossy(&waited.stdout);
    assert!(waited.status.success() && said.contains("ready at edge after "), "{waited:?}");
    let function = market.get("/v1/functions/waited").await.json();
    assert_eq!(
        (&function["readiness"][0]["provider"], &function["readiness"][0]["state"]),
        (&json!("edge"), &json!("ready"))
    );
    let loops = deploy(file("loops.wasm", nested_loops()), "--wait").await.unwrap();
    let said = String::from_utf8_lossy(&loops.stderr);
    assert!(!loops.status.success() && said.contains("can run the module: it takes more than 5 s"), "{loops:?}");
}

/// A module that answers a document with so many headers of its own.
fn headers(count: usize) -> Vec<u8> {
    let lines: String = (0..count).map(|number| format!("x-{number}: 1\\n")).collect();
    let document = format!("Status: 200\\n{lines}\\ndone");
    let length = document.len() - document.matches("\\n").count();
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 64) "{document}")
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 64))
                (i32.store (i32.const 4) (i32.const {length}))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    );
    wat::parse_str(text).unwrap()
}

async fn many_headers_of_callers_and_functions_arrive(shape: Shape) {
    let market = Market::start(shape).await;
    let cache = TempDir::new().unwrap();
    let _provider = provider(&market, "edge", cache.path()).await;
    market.deploy("echo", json!({})).await;
    let names: Vec<String> = (0..120).map(|number| format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let answer = market.invoke_with("echo", &many, "all of them").await;
    assert_eq!((answer.status, answer.text()), (200.try_into().unwrap(), "all of them"));
    market.deploy_module("headers", headers(98), json!({})).await;
    let answer = market.call(http::Method::GET, "/fn/headers/", &[], "").await;
    assert_eq!((answer.header("x-97"), answer.text()), ("1", "done"), "{answer:?}");
}

/// Returns the compiler that a provider started, while it runs.
fn compiler_of(provider: u32) -> Option<PathBuf> {
    let mut processes = std::fs::read_dir("/proc").unwrap().map(|process| process.unwrap().path());
    processes.find(|process| {
        let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
        let command = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        command.contains("compile-module") && status.contains(&format!("PPid:\t{provider}\n"))
    })
}

#[tokio::test]
async fn a_compiler_ends_with_its_provider() {
    let market = Market::start(Shape::AllInOne).await;
    let cache = TempDir::new().unwrap();
    let edge = provider(&market, "edge", cache.path()).await;
    // By its size its compiler has two minutes of CPU time.
    let padding = wat::parse_str(format!(r#"(module (@custom "padding" "{}"))"#, "p".repeat(16 << 20))).unwrap();
    let module = [nested_loops(), padding[8..].to_vec()].concat();
    market.deploy_module("loops", module, json!({})).await;
    market.call(http::Method::POST, "/v1/functions/loops/warm", &[], "").await;
    let provider = edge.id();
    let compiler = eventually("a compiler runs", async || compiler_of(provider)).await;
    edge.kill().await;
    // Its command line is empty once it has ended, even if nobody has taken note of its end.
    let ended = async || std::fs::read(compiler.join("cmdline")).unwrap_or_default().is_empty().then_some(());
    eventually("the compiler ends", ended).await;
}
