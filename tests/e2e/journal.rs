//! The tools that look into a data directory, on one that is in use and on one that is not; and starts from a snapshot.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::market::{Market, Shape};
use crate::process::merit;

struct ToolOutput {
    ok: bool,
    out: String,
    err: String,
}

async fn tool(arguments: &[&str], data: &Path, flag: Option<&str>) -> ToolOutput {
    let mut command = merit();
    command.args(arguments).args(flag).arg(data);
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    ToolOutput { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

async fn tool_json(arguments: &[&str], data: &Path, flag: Option<&str>) -> Value {
    let told = tool(&[arguments, &["--output", "json"]].concat(), data, flag).await;
    assert!(told.ok, "{arguments:?}: {}", told.err);
    serde_json::from_str(&told.out).unwrap()
}

#[tokio::test]
async fn a_decision_is_explained_from_a_directory_in_use() {
    let market = Market::start(Shape::AllInOne).await;
    let _cheap = market.provider("cheap", &["--per-gb-second", "0.00001"]).await;
    let _dear = market.provider("dear", &["--per-gb-second", "0.00002"]).await;
    market.deploy("echo", json!({})).await;
    market.invoke("echo", "first").await;
    market.invoke("echo", "second").await;
    let data = market.data_dir();

    let answer = market.invoke("echo", "third").await;
    let id = answer.header("merit-invocation-id").to_owned();
    let why = tool_json(&["why", &id], &data, Some("--data-dir")).await;
    let attempt = &why["attempts"][0];
    assert_eq!((&why["invocation"], &attempt["lease"]), (&json!(id), &json!(id)));
    assert_eq!(
        (&attempt["function"], &attempt["account"], &attempt["command"]),
        (&json!("echo"), &json!("dev"), &json!("acquire"))
    );
    assert_eq!(attempt["winner"]["provider"], answer.header("merit-provider"));
    assert_eq!(attempt["agrees"], true, "{why}");
    let offers = attempt["offers"].as_array().unwrap();
    assert_eq!(offers.len(), 2, "{why}");
    assert_eq!(offers[0]["provider"], attempt["winner"]["provider"]);
    assert_eq!(offers[0]["predicted"]["cost"], attempt["winner"]["predicted_cost"]);
    assert_eq!(offers[1]["provider"], attempt["runner_up"]["provider"]);
    assert_eq!(offers[1]["predicted"]["cost"], attempt["runner_up"]["predicted_cost"]);

    let answer = market.invoke_with("echo", &[("Merit-Ignore", "cheap")], "fourth").await;
    let id = answer.header("merit-invocation-id").to_owned();
    let why = tool_json(&["why", &id], &data, Some("--data-dir")).await;
    let refused = &why["attempts"][0]["refused"][0];
    assert_eq!((&refused["provider"], &refused["code"]), (&json!("cheap"), &json!("excluded")), "{why}");
    assert_eq!(why["attempts"][0]["winner"]["provider"], "dear");
    let told = tool(&["why", &id], &data, Some("--data-dir")).await;
    for part in ["won by dear in local/wasm", "nobody else could have served it", "excluded"] {
        assert!(told.out.contains(part), "{part:?} is not in {}", told.out);
    }

    // The same by its sequence alone, as the tape tells it.
    let sequence = id.split_once('-').unwrap().1;
    assert_eq!(tool_json(&["why", sequence], &data, Some("--data-dir")).await, why);
    let nothing = tool(&["why", "1"], &data, Some("--data-dir")).await;
    assert!(!nothing.ok && nothing.err.contains("the command at sequence 1 matched nothing"), "{}", nothing.err);

    let unknown = tool(&["why", "1-999999"], &data, Some("--data-dir")).await;
    assert!(!unknown.ok && unknown.err.contains("no lease of invocation 1-999999"), "{}", unknown.err);
    market.stop().await;
}

#[tokio::test]
async fn a_directory_tells_what_is_in_it() {
    let market = Market::start(Shape::AllInOne).await;
    let edge = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    for _ in 0..10 {
        market.invoke("echo", "x").await;
    }
    let data = market.data_dir();
    let in_use = tool_json(&["journal", "inspect"], &data, None).await;
    assert_eq!(in_use["in_use"], true);
    assert!(edge.stop().await.success());
    let dir = market.stop().await;

    let inspected = tool_json(&["journal", "inspect"], &data, None).await;
    assert_eq!((&inspected["in_use"], &inspected["damage"]), (&json!(false), &Value::Null));
    assert_eq!((&inspected["first_sequence"], &inspected["runs"][0]["run"]), (&json!(1), &json!(1)));
    let count = |kind: &str| {
        let commands = inspected["commands"].as_array().unwrap();
        commands.iter().find(|found| found["kind"] == kind).map_or(0, |found| found["count"].as_u64().unwrap())
    };
    assert_eq!((count("acquire"), count("settle"), count("start")), (10, 10, 1), "{inspected}");
    assert_eq!(inspected["segments"][0]["records"], inspected["records"]);

    let last = inspected["last_sequence"].as_u64().unwrap();
    let verified = tool_json(&["journal", "verify"], &data, None).await;
    assert_eq!(verified["rules"], merit_engine::RULES);
    let replayed = tool_json(&["journal", "replay", "--to", &last.to_string()], &data, None).await;
    assert_eq!((&replayed["digest"], &replayed["sequence"]), (&verified["digest"], &json!(last)));
    assert_eq!(replayed["balance_sum"], "0");
    let earlier = tool_json(&["journal", "replay", "--to", "3"], &data, None).await;
    assert_eq!(earlier["sequence"], 3);
    let beyond = tool(&["journal", "replay", "--to", "999999"], &data, None).await;
    assert!(!beyond.ok && beyond.err.contains(&format!("ends at sequence {last}, before 999999")), "{}", beyond.err);

    let printed = tool(&["journal", "inspect", "--from", "1", "--to", "2"], &data, None).await;
    let lines: Vec<&str> = printed.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", printed.out);
    assert!(lines[0].starts_with("1 20") && lines[0].ends_with(" start run: 1"), "{}", printed.out);
    drop(dir);
}

fn snapshot_file(data: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "merit")).unwrap()
}

#[tokio::test]
async fn a_start_goes_on_past_a_damaged_snapshot() {
    let market = Market::start(Shape::AllInOne).await;
    let edge = market.provider("edge-1", &[]).await;
    market.deploy("echo", json!({})).await;
    for _ in 0..20 {
        market.invoke("echo", "x").await;
    }
    let data = market.data_dir();
    let refused = tool(&["journal", "snapshot"], &data, None).await;
    assert!(!refused.ok && refused.err.contains("uses the data directory"), "{}", refused.err);
    assert!(edge.stop().await.success());
    let dir = market.stop().await;
    let accounts = {
        let before = tool_json(&["journal", "verify"], &data, None).await;
        let made = tool(&["journal", "snapshot"], &data, None).await;
        assert!(made.ok && made.out.starts_with("snapshot of sequence "), "{}{}", made.out, made.err);
        let after = tool_json(&["journal", "verify"], &data, None).await;
        assert_eq!(after["digest"], before["digest"]);
        assert_eq!(after["snapshots"][0]["verdict"], "equals the replay");
        tool_json(&["journal", "replay", "--to", &before["last_sequence"].to_string()], &data, None).await["accounts"]
            .clone()
    };

    let market = Market::start_in(Shape::AllInOne, dir).await;
    let dev = market.get("/v1/accounts").await.json();
    let balance = |accounts: &Value| {
        let accounts = accounts.as_array().unwrap().clone();
        let dev = |account: &&Value| account["name"] == "dev" || account["id"] == "dev";
        accounts.iter().find(dev).unwrap()["balance"].clone()
    };
    assert_eq!(balance(&dev["accounts"]), balance(&accounts));
    let edge = market.provider("edge-1", &[]).await;
    assert_eq!(market.invoke("echo", "still there").await.text(), "still there");
    assert!(edge.stop().await.success());
    let dir = market.stop().await;

    let file = snapshot_file(&data);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let verified = tool(&["journal", "verify"], &data, None).await;
    assert!(
        !verified.ok && verified.err.contains(&format!("{name}, byte 64: a chunk fails its checksum")),
        "{}",
        verified.err
    );
    let market = Market::start_in(Shape::AllInOne, dir).await;
    let log = market.processes[0].log();
    assert!(log.contains("a damaged snapshot was set aside") && log.contains(&name), "{log}");
    assert_eq!(market.get("/v1/accounts").await.status, 200);
    let dir = market.stop().await;
    assert!(data.join(format!("{name}.damaged")).exists());
    assert!(tool(&["journal", "verify"], &data, None).await.ok);
    drop(dir);
}
