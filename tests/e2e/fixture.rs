//! Data directories that are kept are read to the same state: `tests/fixtures/v5` and so on, made by `make.sh` there. A
//! directory of another format or of unknown rules is refused.

use std::path::{Path, PathBuf};

use merit_journal::storage::Directory;
use merit_journal::{self as journal, Batch, Journal};
use merit_proto::v1::{self, journal_record};
use merit_terms::LeaseId;
use prost::Message;
use serde_json::Value;

use crate::market::Market;
use crate::process::{Process, merit};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
/// Reserved length of a segment, 64 MiB; a fixture holds the bytes in use.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Lists the fixtures: `v5` and so on.
fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(FIXTURES).unwrap().map(|entry| entry.unwrap().path());
    let mut fixtures: Vec<PathBuf> = entries.filter(|path| path.join("expected.json").exists()).collect();
    fixtures.sort();
    assert!(fixtures[0].ends_with("v5"));
    fixtures
}

fn expected(fixture: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(fixture.join("expected.json")).unwrap()).unwrap()
}

/// Copies a fixture as it stood on the disk of its market.
fn unpacked(fixture: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir_all(data.join("modules")).unwrap();
    for folder in ["", "modules"] {
        for entry in std::fs::read_dir(fixture.join(folder)).unwrap().map(Result::unwrap) {
            let copy = data.join(folder).join(entry.file_name());
            if entry.file_type().unwrap().is_file() && entry.file_name() != "expected.json" {
                std::fs::copy(entry.path(), &copy).unwrap();
                if copy.extension().is_some_and(|extension| extension == "segment") {
                    std::fs::File::options().write(true).open(copy).unwrap().set_len(SEGMENT_BYTES).unwrap();
                }
            }
        }
    }
    dir
}

/// Checks that every expected value is found; there may be more.
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
async fn kept_directories_replay_to_their_digest() {
    for fixture in fixtures() {
        let dir = unpacked(&fixture);
        let expected = expected(&fixture);
        assert_eq!(expected["verified"]["damage"], Value::Null);
        assert_ne!(expected["verified"]["open_leases"], 0, "a fixture ends in the middle of calls");
        assert_within("verified", &expected["verified"], &verified(&dir.path().join("data")).await);
    }
}

#[tokio::test]
async fn a_market_goes_on_from_kept_directories() {
    for fixture in fixtures() {
        println!("{}", fixture.display());
        let expected = expected(&fixture);
        // A kept directory has no master key: it would be a secret that everybody knows.
        let dir = unpacked(&fixture);
        let data = dir.path().join("data").display().to_string();
        let up = ["up", "--no-demo", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--new-master-key"];
        let process = Process::start(&[&up[..], &["--data-dir", &data]].concat(), &dir.path().join("up.log")).await;
        let market = Market::of(vec![process], dir);
        let id = expected["invocation"]["id"].as_str().unwrap();
        assert_within("accounts", &expected["accounts"], &market.get("/v1/accounts").await.json());
        assert_within("functions", &expected["functions"], &market.get("/v1/functions").await.json());
        let trades = market.get("/v1/markets/local/wasm/trades").await.json();
        assert_within("trades", &expected["trades"], &trades);
        let record = market.get(&format!("/v1/invocations/{id}")).await.json();
        assert_within("invocation", &expected["invocation"], &record);

        let edge = market.provider("edge-1", &[]).await;
        let answer = market.invoke("echo", "still running").await;
        assert_eq!(answer.text(), "still running");
        let id: LeaseId = answer.header("merit-invocation-id").parse().unwrap();
        assert_eq!(u64::from(id.run), expected["verified"]["runs"].as_u64().unwrap() + 1);
        assert!(id.sequence > expected["verified"]["last_sequence"].as_u64().unwrap());
        assert!(edge.stop().await.success());
        let data = market.stop().await;
        let after = verified(&data.path().join("data")).await;
        assert_eq!(after["rules"], merit_engine::RULES, "a new run goes on by the present rules");
    }
}

/// Starts a market on a directory that is not for this release. Returns its words.
async fn refusal(data: &Path) -> String {
    let up = ["up", "--no-demo", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"];
    let started = tokio::time::timeout(crate::process::PATIENCE, merit().args(up).arg(data).output());
    let refused = started.await.unwrap().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{said}");
    said
}

/// Overwrites the format version of a file of which the header has this many bytes, its checksum the last four.
fn set_format(file: &Path, version: u32, header_bytes: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..header_bytes - 4]);
    bytes[header_bytes - 4..header_bytes].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_journal_of_another_format_is_refused() {
    for (version, way_out) in
        [(2, "move it away to begin with an empty one"), (7, "start the merit release that wrote it")]
    {
        let dir = unpacked(&fixtures()[0]);
        let data = dir.path().join("data");
        for entry in std::fs::read_dir(&data).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("snapshot-") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        set_format(&data.join("journal-0000000001.segment"), version, 32);
        let said = refusal(&data).await;
        let what = format!("has format {version}, and this merit reads format 5 alone");
        for part in [&what, "Nothing was changed", way_out] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
    }
}

#[tokio::test]
async fn a_directory_from_before_the_first_release_is_refused() {
    let dir = unpacked(&fixtures()[0]);
    let data = dir.path().join("data");
    for entry in std::fs::read_dir(&data).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match name.split_once('-').map(|(kind, _)| kind) {
            Some("journal") => set_format(&entry.path(), 1, 32),
            Some("snapshot") => set_format(&entry.path(), 1, 64),
            _ => {}
        }
    }
    let said = refusal(&data).await;
    for part in ["has format 1, and this merit reads format 5 alone", "move it away to begin with an empty one"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[tokio::test]
async fn a_directory_of_unknown_rules_is_refused() {
    let dir = unpacked(&fixtures()[0]);
    let data = dir.path().join("data");
    // The next release's first command.
    let storage = Directory::existing(&data);
    let (mut journal, _) = Journal::open(storage, journal::Settings::default(), |_, _| Ok(())).unwrap();
    let activate = journal_record::ActivateRules { version: 99 };
    let record =
        v1::JournalRecord { at: u64::MAX / 2, command: Some(journal_record::Command::ActivateRules(activate)) };
    let mut batch = Batch::starting_at(journal.next_sequence());
    batch.push(&record.encode_to_vec());
    journal.append(&mut batch).unwrap();
    drop(journal);
    let said = refusal(&data).await;
    let known = format!("this merit knows {} alone", merit_engine::RULES);
    for part in ["rules 99 of the market", &known, "start the merit release that wrote it"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}
