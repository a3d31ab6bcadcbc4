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
