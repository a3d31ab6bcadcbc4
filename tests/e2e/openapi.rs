//! The description of the doors, `/openapi.json`: it has every route, and schemathesis finds it true.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::market::{Market, Shape};

/// Version from PyPI, with its dependencies.
const SCHEMATHESIS: &str = "4.32.5";
/// Timeout of its installation.
const INSTALLED_WITHIN: Duration = Duration::from_secs(300);
/// Timeout of its run, which takes some 40 s.
const TRIED_WITHIN: Duration = Duration::from_secs(180);
const SEED: &str = "20261124";
/// Number of examples of each phase, for each of the operations.
const EXAMPLES: &str = "6";

/// Installs schemathesis into `target` once, at a fixed version.
async fn schemathesis() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let environment = target.join(format!("schemathesis-{SCHEMATHESIS}"));
    let program = environment.join("bin/schemathesis");
    if !program.exists() {
        let environment = environment.to_str().unwrap();
        run(Command::new("python3").args(["-m", "venv", environment]), INSTALLED_WITHIN).await;
        let package = format!("schemathesis=={SCHEMATHESIS}");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", &package];
        run(Command::new(format!("{environment}/bin/python")).args(pip), INSTALLED_WITHIN).await;
    }
    program
}

/// Runs a command and asserts success. Returns its output.
async fn run(command: &mut Command, within: Duration) -> String {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(within, running).await.expect("it hangs").unwrap();
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{command:?}:\n{said}");
    said
}

async fn market() -> (Market, crate::process::Process) {
    let market = Market::start(Shape::AllInOne).await;
    let provider = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    (market, provider)
}

#[tokio::test]
async fn what_the_description_says_is_so() {
    let schemathesis = schemathesis().await;
    let (market, _provider) = market().await;
    let invoked = market.invoke("echo", "1").await;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut command = Command::new(schemathesis);
    command.current_dir(market.dir.path()).env("NO_COLOR", "1");
    command.env("MERIT_INVOCATION", invoked.header("merit-invocation-id"));
    command.arg("--config-file").arg(tests.join("schemathesis.toml"));
    command.args(["run", &format!("{}/openapi.json", market.http)]);
    command.args(["--seed", SEED, "--max-examples", EXAMPLES, "--workers", "1"]);
    println!("{}", run(&mut command, TRIED_WITHIN).await);
    assert_eq!(market.get("/readyz").await.status, 200, "the broker still serves");
    market.stop().await;
}

/// Returns the operations of the document: path, method, and description.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let path = path.clone();
        let methods = item.as_object().unwrap().clone().into_iter();
        methods.map(move |(method, told)| (path.clone(), method, told)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn every_operation_has_id_tag_summary_and_errors() {
    let market = Market::start(Shape::AllInOne).await;
    let document = market.get("/openapi.json").await;
    assert_eq!(document.header("content-type"), "application/json");
    let document = document.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let operations = operations(&document);
    let mut ids = std::collections::BTreeSet::new();
    for (path, method, told) in &operations {
        assert!(ids.insert(told["operationId"].as_str().unwrap()), "{method} {path}: an id of its own");
        assert!(tags.contains(&&told["tags"][0]), "{method} {path}: {}", told["tags"]);
        assert!(!told["summary"].as_str().unwrap().is_empty(), "{method} {path}");
        assert!(told["responses"]["403"].is_object(), "{method} {path}");
        let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters = told["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(named.count(), in_path, "{method} {path}: its parameters");
    }
    market.stop().await;
}

/// Checks that the table makes all routes; the one beside it answers for paths without a route.
#[test]
fn no_route_is_made_without_its_words() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("broker/src");
    let mut made = Vec::new();
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let source = std::fs::read_to_string(&entry).unwrap();
                let lines =
                    source.lines().map(str::trim).filter(|line| line.contains(".route(") || line.contains(".nest("));
                made.extend(lines.map(str::to_owned));
            }
        }
    }
    let undescribed: Vec<&String> = made.iter().filter(|line| !line.contains("self.route")).collect();
    assert_eq!(undescribed.iter().filter(|line| !line.contains("any(no_route)")).count(), 0, "{undescribed:?}");
}
