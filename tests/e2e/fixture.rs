//! A data directory that an earlier build wrote is read to the same state: `tests/fixtures/v1`, made by `make.sh` there.

use std::path::Path;

use merit_terms::LeaseId;
use serde_json::Value;

use crate::market::{Market, Shape};
use crate::process::merit;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1");
/// What a segment has reserved; the fixture holds the bytes in use.
const SEGMENT_BYTES: u64 = 64 << 20;

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(format!("{FIXTURE}/expected.json")).unwrap()).unwrap()
}

/// A copy of the fixture as it stood on the disk of its market.
fn unpacked() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(data.join("modules")).unwrap();
    let segment = data.join("journal-0000000001.segment");
    std::fs::copy(format!("{FIXTURE}/journal-0000000001.segment"), &segment).unwrap();
    std::fs::File::options().write(true).open(segment).unwrap().set_len(SEGMENT_BYTES).unwrap();
    for module in std::fs::read_dir(format!("{FIXTURE}/modules")).unwrap() {
        let module = module.unwrap();
        std::fs::copy(module.path(), data.join("modules").join(module.file_name())).unwrap();
    }
    dir
}

/// Whatever was answered then is answered now; there may be more of it.
fn assert_within(path: &str, expected: &Value, found: &Value) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, expected) in expected {
                let path = format!("{path}.{name}");
                assert_within(&path, expected, found.get(name).unwrap_or_else(|| panic!("{path} is gone")));
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() <= found.len() => {
            for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
                assert_within(&format!("{path}.{number}"), expected, found);
            }
        }
        _ => assert_eq!(found, expected, "{path}"),
    }
}

async fn verified(data: &Path) -> Value {
    let output = merit().args(["journal", "verify", "--output", "json"]).arg(data).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_directory_of_format_1_replays_to_the_digest_it_was_written_with() {
    let dir = unpacked();
    let expected = expected();
    assert_eq!(expected["verified"]["damage"], Value::Null);
    assert_eq!(expected["verified"]["open_leases"], 1, "the fixture ends in the middle of a call");
    assert_within("verified", &expected["verified"], &verified(&dir.path().join("data")).await);
}

#[tokio::test]
async fn a_market_goes_on_from_a_directory_of_format_1() {
    let dir = unpacked();
    let expected = expected();
    let market = Market::start_in(Shape::AllInOne, dir).await;
    let id = expected["invocation"]["id"].as_str().unwrap();
    assert_within("accounts", &expected["accounts"], &market.get("/v1/accounts").await.json());
    assert_within("functions", &expected["functions"], &market.get("/v1/functions").await.json());
    assert_within("trades", &expected["trades"], &market.get("/v1/markets/local/wasm/trades").await.json());
    assert_within("invocation", &expected["invocation"], &market.get(&format!("/v1/invocations/{id}")).await.json());

    let _edge = market.provider("edge-1", &[]).await;
    let answer = market.invoke("echo", "still running").await;
    assert_eq!(answer.text(), "still running");
    let id: LeaseId = answer.header("merit-invocation-id").parse().unwrap();
    assert_eq!(u64::from(id.run), expected["verified"]["runs"].as_u64().unwrap() + 1);
    assert!(id.sequence > expected["verified"]["last_sequence"].as_u64().unwrap());
    market.stop().await;
}
