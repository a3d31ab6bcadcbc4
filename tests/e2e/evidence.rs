//! Evidence on disk that contradicts: a start is refused, with the way out.

use std::path::Path;

use serde_json::json;

use crate::market::{Market, Shape};
use crate::process::{Process, assert_fails};

fn up(data: &str) -> Vec<&str> {
    vec!["up", "--no-demo", "--data-dir", data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
}

fn master_key(data: &Path) -> std::path::PathBuf {
    data.join("master.key")
}

#[tokio::test]
async fn another_master_key_is_refused_until_it_is_accepted() {
    let market = Market::start(Shape::AllInOne).await;
    let (data, own) = (market.data_dir(), std::fs::read(master_key(&market.data_dir())).unwrap());
    let dir = market.stop().await;
    let data = data.to_str().unwrap().to_owned();
    let path = master_key(Path::new(&data));

    std::fs::remove_file(&path).unwrap();
    assert_fails(&up(&data), &["is missing", "--new-master-key", "backup"]).await;
    assert!(!path.exists(), "no new key is made");
    std::fs::write(&path, [0; 32]).unwrap();
    std::process::Command::new("chmod").args(["600", path.to_str().unwrap()]).status().unwrap();
    assert_fails(&up(&data), &["32 equal bytes"]).await;
    std::fs::write(&path, [&own[1..], &own[..1]].concat()).unwrap();
    assert_fails(&up(&data), &["another than this directory's journal", "--new-master-key"]).await;

    let log = dir.path().join("up.log");
    let accepting = Process::start(&[up(&data), vec!["--new-master-key"]].concat(), &log).await;
    assert!(accepting.stop().await.success());
    assert!(Process::start(&up(&data), &log).await.stop().await.success(), "it is the journal's now");
    std::fs::write(&path, &own).unwrap();
    assert_fails(&up(&data), &["another than this directory's journal"]).await;
}

#[tokio::test]
async fn a_damaged_module_is_mended_by_its_next_upload() {
    let market = Market::start(Shape::AllInOne).await;
    market.deploy("echo", json!({})).await;
    let modules = std::fs::read_dir(market.data_dir().join("modules")).unwrap();
    let module = modules.map(|file| file.unwrap().path()).next().unwrap();
    let mut bytes = std::fs::read(&module).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&module, bytes).unwrap();
    market.deploy("echo", json!({})).await;
    let seller = market.provider("edge", &[]).await;
    assert_eq!(market.invoke("echo", "mended").await.text(), "mended");
    seller.stop().await;
    market.stop().await;
}

/// Copies the files of a directory.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(|file| file.unwrap()).filter(|file| file.path().is_file()) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn journal_of(data: &Path) -> std::path::PathBuf {
    data.join("journal-0000000001.segment")
}

#[tokio::test]
async fn a_journal_without_its_end_is_refused_until_accepted() {
    let market = Market::start(Shape::AllInOne).await;
    market.deploy("echo", json!({})).await;
    let (data, dir) = (market.data_dir(), market.stop().await);
    let old = dir.path().join("old");
    copy(&data, &old);

    let market = Market::start_in(Shape::AllInOne, dir).await;
    let seller = market.provider("edge", &[]).await;
    let before = market.invoke("echo", "lost").await.header("merit-invocation-id").to_owned();
    seller.stop().await;
    let dir = market.stop().await;
    std::fs::copy(journal_of(&old), journal_of(&data)).unwrap();
    let data = data.to_str().unwrap();

    let output = crate::process::merit().args(up(data)).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("its newest part is missing"), "{said}");
    let accept = said.split("--accept-loss ").nth(1).unwrap().split_whitespace().next().unwrap();
    let last: u64 = accept.parse().unwrap();
    assert_fails(&[up(data), vec!["--accept-loss", &(last - 1).to_string()]].concat(), &["is missing"]).await;

    let log = dir.path().join("up.log");
    let accepting = Process::start(&[up(data), vec!["--accept-loss", accept]].concat(), &log).await;
    let market = Market::of(vec![accepting], dir);
    let seller = market.provider("edge", &[]).await;
    let after = market.invoke("echo", "after").await.header("merit-invocation-id").to_owned();
    let run = |id: &str| id.split('-').next().unwrap().to_owned();
    assert_ne!(run(&before), run(&after), "a run's number never comes again: {before}, {after}");
    seller.stop().await;
    let dir = market.stop().await;
    let market = Market::start_in(Shape::AllInOne, dir).await;
    assert_eq!(market.get(&format!("/v1/invocations/{after}")).await.status, 200);
    market.stop().await;
}

#[tokio::test]
async fn a_process_whose_directory_is_replaced_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("up.log"));
    let process = Process::start(&up(data.to_str().unwrap()), &log).await;
    std::fs::rename(&data, dir.path().join("away")).unwrap();
    std::fs::create_dir(&data).unwrap();
    assert!(!process.ended().await.success());
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("is gone while this process ran"), "{said}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing was written there");
}
