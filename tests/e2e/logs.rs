//! Functions' logs: in errors, in records, in lists and on the command line; and the list of invocations.

use http::Method;
use serde_json::{Value, json};

use crate::in_both_shapes;
use crate::market::{Answer, Market, Shape};
use crate::process::{assert_fails, eventually, merit};

in_both_shapes! {
    a_log_is_in_error_record_and_list
    invoke_and_logs_print_what_a_function_wrote
    invocations_are_listed_by_function_outcome_and_page
    why_last_explains_the_last_invoke
}

/// Returns a module that writes the text to its standard error, and exits with 3 if there is a payload.
pub(crate) fn noisy(text: &str) -> Vec<u8> {
    let text = text.as_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
    let length = text.len() / 3;
    let module = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 2)
            (data (i32.const 1024) "{text}")
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 1024))
                (i32.store (i32.const 4) (i32.const {length}))
                (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
                (i32.store (i32.const 0) (i32.const 65536))
                (i32.store (i32.const 4) (i32.const 64))
                (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                (if (i32.load (i32.const 8)) (then (call $exit (i32.const 3))))))"#
    );
    wat::parse_str(module).unwrap()
}

async fn market(shape: Shape) -> Market {
    let market = Market::start(shape).await;
    market.deploy_module("noisy", noisy("it began\nthe cause: no such row\n"), json!({})).await;
    market
}

async fn logs(market: &Market, query: &str) -> Value {
    market.get(&format!("/v1/functions/noisy/logs?{query}")).await.json()
}

async fn failing(market: &Market) -> Answer {
    market.invoke("noisy", "fail").await
}

async fn a_log_is_in_error_record_and_list(shape: Shape) {
    let market = market(shape).await;
    let _seller = market.provider("edge-1", &[]).await;
    let failed = failing(&market).await;
    assert_eq!(failed.code(), "function_failed", "{failed:?}");
    let log = "it began\nthe cause: no such row\n";
    assert_eq!(failed.json()["error"]["details"]["log"], log);
    let id = failed.header("merit-invocation-id");
    let record = market.get(&format!("/v1/invocations/{id}")).await.json();
    assert_eq!((&record["log"], &record["outcome"]), (&json!(log), &json!("exit")));

    // An answer carries it for who asks.
    let quiet = market.invoke("noisy", "").await;
    assert!(quiet.status == 200 && !quiet.headers.contains_key("merit-log-result"), "{quiet:?}");
    let told = market.invoke_with("noisy", &[("merit-log-type", "Tail")], "").await;
    assert_eq!(told.header("merit-log-result"), "aXQgYmVnYW4KdGhlIGNhdXNlOiBubyBzdWNoIHJvdwo=");

    let listed = logs(&market, "").await;
    let listed = listed["logs"].as_array().unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0]["invocation_id"], told.header("merit-invocation-id"), "the newest is first");
    let oldest = &listed[2];
    assert_eq!(
        (&oldest["log"], &oldest["outcome"], &oldest["provider"]),
        (&json!(log), &json!("exit"), &json!("edge-1"))
    );
    let after = logs(&market, &format!("after={}", oldest["sequence"])).await;
    assert_eq!(after["logs"].as_array().unwrap().len(), 2);
    let page = logs(&market, "limit=2").await;
    let last = logs(&market, &format!("cursor={}", page["next"].as_str().unwrap())).await;
    assert_eq!((&last["logs"][0], &last["next"]), (oldest, &Value::Null));

    // Turned off, it is neither told nor kept.
    market.call(Method::PATCH, "/v1/functions/noisy", &[], r#"{"logs": false}"#).await;
    let failed = failing(&market).await;
    assert_eq!(failed.json()["error"]["details"]["log"], Value::Null);
    let record = market.get(&format!("/v1/invocations/{}", failed.header("merit-invocation-id"))).await.json();
    assert_eq!((&record["log"], &record["outcome"]), (&Value::Null, &json!("exit")));
    assert_eq!(logs(&market, "").await["logs"].as_array().unwrap().len(), 3);
    for (query, said) in [("limit=0", "limit"), ("cursor=x", "cursor"), ("before=3", "before")] {
        let answer = market.get(&format!("/v1/functions/noisy/logs?{query}")).await;
        assert!(answer.status == 400 && answer.message().contains(said), "{query}: {answer:?}");
    }
    let misnamed = market.get("/v1/functions/nosy/logs").await;
    assert!(misnamed.status == 404 && misnamed.message().contains("did you mean `noisy`?"), "{misnamed:?}");
    market.stop().await;
}

async fn invoke_and_logs_print_what_a_function_wrote(shape: Shape) {
    let market = market(shape).await;
    let _seller = market.provider("edge-1", &[]).await;
    let run = |arguments: &'static [&'static str]| {
        let mut command = merit();
        command.args(arguments).args(["--broker", &market.http]);
        async move { command.output().await.unwrap() }
    };
    let ran = run(&["invoke", "noisy"]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success() && said.starts_with("it began\nthe cause: no such row\n"), "{said}");
    let ran = run(&["invoke", "noisy", "--quiet"]).await;
    assert!(ran.status.success() && ran.stderr.is_empty());
    let broker = ["--broker", &market.http];
    assert_fails(
        &[&["invoke", "noisy", "--data", "fail"], &broker[..]].concat(),
        &["exit", "  the cause: no such row"],
    )
    .await;
    let json: Value = serde_json::from_slice(&run(&["invoke", "noisy", "--output", "json"]).await.stdout).unwrap();
    assert_eq!((&json["answer"], &json["log"]), (&json!(""), &json!("it began\nthe cause: no such row\n")));
    assert_eq!(json["receipt"]["provider"], "edge-1");

    let printed = String::from_utf8(run(&["logs", "noisy"]).await.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines.len() == 8 && lines[1].ends_with(" ok  the cause: no such row"), "{printed}");
    assert!(lines[4].ends_with(" exit  it began"), "the oldest is first: {printed}");

    let output = market.dir.path().join("followed");
    let mut following = merit();
    following.args(["logs", "noisy", "--follow", "--limit", "1"]).args(broker);
    let _following = following.stdout(std::fs::File::create(&output).unwrap()).spawn().unwrap();
    let lines = || std::fs::read_to_string(&output).unwrap().lines().count();
    eventually("the last log is printed", || async { (lines() == 2).then_some(()) }).await;
    failing(&market).await;
    eventually("the next one follows", || async { (lines() == 4).then_some(()) }).await;
    market.stop().await;
}

async fn invocations_are_listed_by_function_outcome_and_page(shape: Shape) {
    let market = market(shape).await;
    market.deploy("echo", json!({})).await;
    let seller = market.provider("edge-1", &[]).await;
    let mut ids = Vec::new();
    for (function, payload) in [("echo", "a"), ("noisy", "fail"), ("echo", "b"), ("noisy", "")] {
        ids.push(market.invoke(function, payload).await.header("merit-invocation-id").to_owned());
    }
    let listed = async |query: &str| {
        let listed = market.get(&format!("/v1/invocations?{query}")).await.json();
        let ids = listed["invocations"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), listed["next"].as_str().map(str::to_owned))
    };
    let of = |which: &[usize]| which.iter().map(|index| ids[*index].clone()).collect::<Vec<_>>();
    for (query, expected) in [
        ("", of(&[3, 2, 1, 0])),
        ("function=echo", of(&[2, 0])),
        ("outcome=exit", of(&[1])),
        ("outcome=ok&function=noisy", of(&[3])),
        ("state=settled", of(&[3, 2, 1, 0])),
        ("state=failed", of(&[])),
        ("from=2100-01-01T00:00:00Z", of(&[])),
        ("to=2100-01-01T00:00:00Z&limit=1000", of(&[3, 2, 1, 0])),
    ] {
        assert_eq!(listed(query).await, (expected, None), "{query}");
    }
    let (first, next) = listed("limit=3").await;
    assert_eq!(first, of(&[3, 2, 1]));
    assert_eq!(listed(&format!("limit=3&cursor={}", next.unwrap())).await, (of(&[0]), None));

    // A call without an offer is in no list.
    seller.kill().await;
    market.until_offers_of("edge-1", false).await;
    assert_eq!(market.invoke("echo", "c").await.code(), "no_eligible_provider");
    assert_eq!(listed("").await, (of(&[3, 2, 1, 0]), None));
    let table = merit().args(["invocations", "--outcome", "exit", "--broker", &market.http]).output().await.unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("$ per million calls") && table.contains(&ids[1]) && !table.contains(&ids[0]), "{table}");
    let one = merit().args(["invocations", &ids[0], "--broker", &market.http]).output().await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&one.stdout).unwrap()["id"], json!(ids[0]));
    for (query, said) in [
        ("outcome=bad", "one of ok, exit"),
        ("state=bad", "waiting, running"),
        ("function=ech", "did you mean `echo`?"),
    ] {
        let answer = market.get(&format!("/v1/invocations?{query}")).await;
        assert!(answer.message().contains(said), "{query}: {answer:?}");
    }
    market.stop().await;
}

async fn why_last_explains_the_last_invoke(shape: Shape) {
    let market = market(shape).await;
    let _seller = market.provider("edge-1", &[]).await;
    let state = market.dir.path().join("state");
    let data = market.data_dir().display().to_string();
    let run = |arguments: &[&str]| {
        let mut command = merit();
        command.args(arguments).env("XDG_STATE_HOME", &state);
        async move { command.output().await.unwrap() }
    };
    let nothing = run(&["why", "last", "--data-dir", &data]).await;
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("`merit invocations` lists them"));
    // A call that fails is remembered, too.
    let failed = run(&["invoke", "noisy", "--data", "fail", "--broker", &market.http]).await;
    assert!(!failed.status.success());
    let newest = market.get("/v1/invocations?limit=1").await.json()["invocations"][0]["id"].clone();
    let why = run(&["why", "last", "--data-dir", &data, "--output", "json"]).await;
    let why: Value = serde_json::from_slice(&why.stdout).unwrap();
    assert_eq!(why["invocation"], newest);
    let refused = run(&["invoke", "noisy", "-H", "Merit-Max-Price: 0", "--data", "", "--broker", &market.http]).await;
    assert!(!refused.status.success());
    let nothing = run(&["why", "last", "--data-dir", &data]).await;
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("refused before it was matched"));
    market.stop().await;
}
