//! A call and its traces: its answer, its receipt, its record, its money.

use std::process::Stdio;

use http::Method;
use merit_terms::Money;
use serde_json::{Value, json};

use crate::in_both_shapes;
use crate::market::{Market, Shape};

in_both_shapes! {
    a_call_is_answered_with_its_receipt_and_recorded
    sha256_answers_as_the_program_of_that_name
    a_large_payload_that_is_passed_through_reaches_a_module
}

async fn a_large_payload_that_is_passed_through_reaches_a_module(shape: Shape) {
    let market = Market::start(shape).await;
    let _edge = market.provider("edge-1", &FIXED).await;
    market.deploy("wordcount", json!({})).await;
    let payload = "word ".repeat(4 << 20);
    let answer = market.call(Method::POST, "/fn/wordcount", &[], payload).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains(&(4 << 20).to_string()), "{answer:?}");
    let listed = market.get("/v1/providers").await.json();
    assert_eq!(listed["providers"][0]["health"], json!([]), "{listed}");
    market.stop().await;
}

#[tokio::test]
async fn a_deadline_holds_while_the_exchange_says_nothing() {
    let market = Market::start(Shape::ThreeProcesses).await;
    let _edge = market.provider("edge-1", &FIXED).await;
    market.deploy("echo", json!({})).await;
    assert_eq!(market.invoke("echo", "1").await.status, 200);
    market.processes[0].signal("STOP").await;
    let late = market.invoke_with("echo", &[("merit-deadline", "+500ms")], "1").await;
    let said = (late.status.as_u16(), late.code(), late.json()["error"]["details"]["execution"].clone());
    assert_eq!(said, (504, "timeout".to_owned(), json!("not_sent")), "{late:?}");
    market.processes[0].signal("CONT").await;
    crate::process::eventually("the exchange is heard again", || async {
        (market.invoke("echo", "1").await.status == 200).then_some(())
    })
    .await;
    market.stop().await;
}

const FIXED: [&str; 4] = ["--per-gb-second", "0.0000166667", "--per-request", "0.0000002"];

async fn a_call_is_answered_with_its_receipt_and_recorded(shape: Shape) {
    let market = Market::start(shape).await;
    let _edge = market.provider("edge-1", &FIXED).await;
    market.deploy("echo", json!({})).await;
    let before = market.get("/v1/accounts/dev").await.json();

    let answer = market.invoke("echo", "hello").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"));
    assert_eq!(answer.header("merit-provider"), "edge-1");
    assert_eq!(answer.header("merit-market"), "local/wasm");
    assert_eq!(answer.header("merit-price"), "0.0000206667");
    assert_eq!(answer.header("merit-attempts"), "1");
    let cost: Money = answer.header("merit-cost").parse().unwrap();
    assert!(cost > Money::ZERO);

    let id = answer.header("merit-invocation-id").to_owned();
    let record = market.get(&format!("/v1/invocations/{id}")).await.json();
    assert_eq!(record["state"], "settled", "{record}");
    assert_eq!(record["cost"], cost.to_string());
    assert_eq!(record["usage"]["billed_ms"].to_string(), answer.header("merit-billed-ms"));
    assert_eq!(record["usage"]["estimated"], false);
    assert_eq!(record["attempts"][0]["provider"], "edge-1");

    let after = market.get("/v1/accounts/dev").await.json();
    let paid = |account: &Value| account["balance"].as_str().unwrap().parse::<Money>().unwrap();
    assert_eq!(paid(&before).saturating_sub(paid(&after)), cost);
    assert_eq!(after["held"], "0");
    let accounts = market.get("/v1/accounts").await.json();
    assert_eq!(accounts["sum"], "0", "{accounts}");

    let trades = market.get("/v1/markets/local/wasm/trades").await.json();
    assert_eq!(trades["trades"].as_array().unwrap().len(), 1, "{trades}");
    assert_eq!(trades["trades"][0]["match_sequence"].to_string(), id.split_once('-').unwrap().1);
    let book = market.get("/v1/markets/local/wasm/book").await.json();
    assert_eq!(book["spot_price"], "0.0000206667");
    assert_eq!(book["offers"][0]["free_mb"], book["offers"][0]["capacity_mb"]);
    market.stop().await;
}

async fn sha256_answers_as_the_program_of_that_name(shape: Shape) {
    let market = Market::start(shape).await;
    let _edge = market.provider("edge-1", &FIXED).await;
    market.deploy("sha256", json!({})).await;
    let payload: Vec<u8> = (0..200_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    let file = market.dir.path().join("payload");
    std::fs::write(&file, &payload).unwrap();
    let path = file.to_str().unwrap();

    let ours = crate::process::merit()
        .args(["invoke", "sha256", "--data-file", path, "--broker", &market.http])
        .output()
        .await
        .unwrap();
    let theirs = tokio::process::Command::new("sha256sum").arg(path).output().await.unwrap();
    let digest = |output: &[u8]| String::from_utf8_lossy(output).split_whitespace().next().map(str::to_owned);
    assert!(ours.status.success(), "{ours:?}");
    assert_eq!(digest(&ours.stdout), digest(&theirs.stdout));
    assert!(String::from_utf8_lossy(&ours.stderr).contains("at edge-1 in local/wasm"), "{ours:?}");
    market.stop().await;
}

/// Checks the promised shapes of the interface on a live answer.
#[tokio::test]
async fn answers_have_the_promised_shapes() {
    let market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge-1", &FIXED).await;
    let _edge_2 = market.provider("edge-2", &["--per-gb-second", "0.00002", "--largest-mb", "64"]).await;
    let definition = json!({"memory_mb": 128, "timeout_ms": 3000, "labels": {"team": "media"},
        "environment": {"MODE": "fast"},
        "markets": ["local/wasm", "us-*/x86_64"], "max_concurrency": 100,
        "limits": {"max_cost": "0.0005", "max_price": "0.00003", "max_latency_ms": 800, "only": [], "ignore": []}});
    market.deploy("echo", definition).await;
    let id = market.invoke("echo", "hello").await.header("merit-invocation-id").to_owned();

    let check = |value: &Value, keys: &[&str]| {
        let object = value.as_object().unwrap_or_else(|| panic!("{value}"));
        let missing: Vec<_> = keys.iter().filter(|key| !object.contains_key(**key)).collect();
        assert!(missing.is_empty(), "{missing:?} are missing in {value}");
    };
    let quote = market.call(Method::POST, "/v1/functions/echo/quote", &[], r#"{"payload_bytes": 5}"#).await.json();
    check(&quote, &["function", "revision", "at", "sequence", "offers", "refused"]);
    check(&quote["offers"][0], &["rank", "provider", "offer", "market", "price", "predicted", "worst_cost"]);
    check(&quote["offers"][0]["predicted"], &["wall_us", "cold_us", "billed_ms", "cost"]);
    assert_eq!(quote["offers"][0]["worst_cost"], "0.000006450013");
    check(&quote["refused"][0], &["provider", "offer", "code", "message"]);
    assert_eq!(quote["refused"][0]["message"], "128 MB asked, 1 to 64 MB sold");

    let record = market.get(&format!("/v1/invocations/{id}")).await.json();
    let fields = [
        "id",
        "function",
        "revision",
        "state",
        "account",
        "submitted_at",
        "settled_at",
        "attempts",
        "usage",
        "memory_mb",
        "vcpus",
        "egress_bytes",
        "tariff",
        "quoted_cost",
        "cost",
        "fee",
    ];
    check(&record, &fields);
    check(&record["usage"], &["wall_us", "cpu_us", "cold_us", "billed_ms", "estimated"]);
    let rates = [
        "per_request",
        "per_gb_second",
        "per_cpu_ms",
        "per_gb_egress",
        "increment_ms",
        "minimum_ms",
        "memory_step_mb",
        "bills_cold_start",
    ];
    check(&record["tariff"], &rates);
    let book = market.get("/v1/markets/local/wasm/book").await.json();
    check(&book, &["market", "sequence", "checksum", "state", "spot_price", "last_price", "offers", "bids"]);
    check(&book["offers"][0], &["price", "capacity_mb", "free_mb", "offers"]);
    check(&market.get("/v1/accounts/dev").await.json(), &["id", "balance", "held", "credit_limit", "budgets"]);
    let trades = market.get("/v1/markets/local/wasm/trades").await.json();
    let fields = ["sequence", "match_sequence", "at", "provider", "price", "memory_mb", "gb_seconds"];
    check(&trades["trades"][0], &fields);
    market.stop().await;
}

/// Stops the market while a call runs: the call is answered, and the process ends well.
#[tokio::test]
async fn a_stop_finishes_what_runs() {
    let mut market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge-1", &FIXED).await;
    market.deploy("wait", json!({})).await;
    let up = market.processes.remove(0);
    let call = market.invoke("wait", "1500");
    let stop = async {
        market.until_leases_of("edge-1", |leases| leases == 1).await;
        up.stop().await
    };
    let (answer, status) = tokio::join!(call, stop);
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "waited 1500 ms\n"));
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_piped_payload_is_sent() {
    let market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge-1", &FIXED).await;
    market.deploy("echo", json!({})).await;
    let file = market.dir.path().join("payload");
    std::fs::write(&file, "from a file").unwrap();
    let (pipe, mut written) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut written, b"from a pipe").unwrap();
    drop(written);
    let (closed, _) = std::io::pipe().unwrap();
    let inputs: [(Stdio, &[&str], &str); 5] = [
        (pipe.into(), &[], "from a pipe"),
        (std::fs::File::open(&file).unwrap().into(), &[], "from a file"),
        (std::fs::File::open(&file).unwrap().into(), &["--data", "named"], "named"),
        (closed.into(), &[], ""),
        (Stdio::null(), &[], ""),
    ];
    for (input, more, expected) in inputs {
        let mut invoke = crate::process::merit();
        let output = invoke.args(["invoke", "echo", "--broker", &market.http]).args(more).stdin(input).output().await;
        assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), expected);
    }
    market.stop().await;
}

/// Deploys by `merit deploy`: it makes one revision, and a refused one leaves the function as it was.
#[tokio::test]
async fn a_deploy_is_one_step_or_none() {
    let market = Market::start(Shape::AllInOne).await;
    let _edge = market.provider("edge-1", &FIXED).await;
    let deploy = |name: &'static str, module: &'static str, memory_mb: &'static str| {
        let module = format!("{}/functions/{module}.wasm", env!("CARGO_MANIFEST_DIR"));
        let arguments = ["deploy", name, &module, "--memory-mb", memory_mb, "--broker", &market.http];
        let mut command = crate::process::merit();
        command.args(arguments);
        async move { command.output().await.unwrap() }
    };
    let deployed = deploy("mine", "echo", "64").await;
    assert!(String::from_utf8_lossy(&deployed.stdout).contains("mine revision 1 is deployed"), "{deployed:?}");
    let refused = deploy("mine", "wordcount", "0").await;
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("memory_mb"), "{refused:?}");
    assert!(!deploy("other", "echo", "0").await.status.success());
    assert_eq!(market.invoke("mine", "a b").await.text(), "a b");
    assert_eq!(market.get("/v1/functions/mine").await.json()["revision"], 1);
    assert_eq!(market.get("/v1/functions/other").await.status, 404);

    // Settings without a flag stay as they were.
    let kept = json!({
        "budgets": [{ "period": "day", "amount": "5" }],
        "labels": { "team": "media" },
        "limits": { "max_cost": "0.5", "only": ["edge-1"] },
    });
    market.deploy_module("mine", crate::market::sample("echo"), kept).await;
    assert!(deploy("mine", "echo", "128").await.status.success());
    let mine = market.get("/v1/functions/mine").await.json();
    assert_eq!((&mine["memory_mb"], &mine["budgets"][0]["amount"]), (&json!(128), &json!("5")), "{mine}");
    assert_eq!((&mine["labels"]["team"], &mine["limits"]["max_cost"]), (&json!("media"), &json!("0.5")), "{mine}");
    market.stop().await;
}

/// Checks that output which cannot be written is an error, and not half of an answer.
#[tokio::test]
async fn a_full_disk_under_the_output_is_said() {
    let market = Market::start(Shape::AllInOne).await;
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = crate::process::merit();
    command.args(["book", "local/wasm", "--broker", &market.http]).stdout(full).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("could not write the output: No space left"), "{said}");
    market.stop().await;
}

#[tokio::test]
async fn a_quote_without_any_offer_says_so() {
    let market = Market::start(Shape::AllInOne).await;
    market.deploy("echo", json!({})).await;
    let output = crate::process::merit().args(["quote", "echo", "--broker", &market.http]).output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("no provider offers anything in this call's markets"), "{said}");
}

/// Checks that a reader that leaves, such as `head`, ends a command without a word.
#[tokio::test]
async fn a_command_whose_reader_leaves_ends_quietly() {
    let market = Market::start(Shape::AllInOne).await;
    market.deploy("echo", json!({})).await;
    for arguments in [["quote", "echo"], ["book", "local/wasm"]] {
        let mut command = crate::process::merit();
        command.args(arguments).args(["--broker", &market.http]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    market.stop().await;
}
