//! A disk that gets full under calls: a real small file system.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::market::{Market, sample};
use crate::process::{Process, eventually};

const MB: u64 = 1 << 20;

/// The disk of a market, with a file that takes space.
struct Disk {
    filler: PathBuf,
}

impl Disk {
    /// Leaves so much free.
    fn leave(&self, free_mb: u64) {
        std::fs::remove_file(&self.filler).ok();
        let place = self.filler.parent().unwrap();
        // Not `df`, which looks for the mount in a namespace of its own.
        let told = std::process::Command::new("stat").args(["-f", "-c", "%a %S"]).arg(place).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let (blocks, size) = told.trim().split_once(' ').unwrap();
        let free = blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap();
        assert!(free < 256 * MB, "{free} bytes are free: another disk");
        std::fs::write(&self.filler, vec![1; (free - free_mb * MB) as usize]).unwrap();
    }
}

async fn until(market: &Market, what: &str, refused: bool) {
    let line = format!("merit_exchange_disk_refuses{{what=\"{what}\"}} {}", u8::from(refused));
    eventually(&line, || async { market.get("/metrics").await.text().contains(&line).then_some(()) }).await;
}

async fn define(market: &Market, memory_mb: u32) -> u16 {
    let body = json!({ "memory_mb": memory_mb }).to_string();
    let headers = [("content-type", "application/json")];
    market.call(Method::PATCH, "/v1/functions/echo", &headers, body).await.status.as_u16()
}

#[tokio::test]
async fn a_full_disk_loses_no_call_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, log) = (dir.path().join("disk"), dir.path().join("up.log"));
    std::fs::create_dir(&disk).unwrap();
    let data = disk.join("data");
    let up =
        ["up", "--no-demo", "--data-dir", data.to_str().unwrap(), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    // The journal reserves two segments of 64 MB.
    let process = Process::start_on_disk(&[&up[..], &["--disk-reserve-mb", "16"]].concat(), &log, &disk, 256).await;
    let disk = Disk { filler: process.seen(Path::new(&disk)).join("filler") };
    let market = Market::of(vec![process], dir);
    market.deploy("echo", json!({})).await;
    market.deploy_module("wait", sample("wait"), json!({"timeout_ms": 20_000})).await;
    let seller = market.provider("edge", &[]).await;
    let upload = async || market.call(Method::PUT, "/v1/functions/echo/module", &[], sample("sha256")).await;

    disk.leave(40);
    until(&market, "uploads", true).await;
    let refused = upload().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "disk_low"), "{}", refused.message());
    assert!(refused.message().contains("takes no uploads: its disk has"), "{}", refused.message());
    assert_eq!((define(&market, 100).await, market.invoke("echo", "1").await.status.as_u16()), (200, 200));

    disk.leave(24);
    until(&market, "definitions", true).await;
    assert_eq!((define(&market, 101).await, market.invoke("echo", "2").await.status.as_u16()), (503, 200));

    let under_way = market.invoke("wait", "4000");
    let filled = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        disk.leave(8);
        until(&market, "calls", true).await;
        let refused = market.invoke("echo", "3").await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "disk_low"), "{}", refused.message());
        assert!(market.get("/readyz").await.text().contains("disk is nearly full"));
    };
    let (answered, ()) = tokio::join!(under_way, filled);
    assert_eq!(answered.status, 200, "{}", answered.message());
    let record = market.get(&format!("/v1/invocations/{}", answered.header("merit-invocation-id"))).await.json();
    assert_eq!(record["state"], "settled", "{record}");

    std::fs::remove_file(&disk.filler).unwrap();
    until(&market, "calls", false).await;
    assert_eq!(market.get("/readyz").await.status, 200);
    assert_eq!((upload().await.status.as_u16(), define(&market, 102).await), (200, 200));
    assert_eq!(market.invoke("echo", "4").await.status, 200);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("nearly full: calls are refused") && said.contains("has room again"), "{said}");
    seller.stop().await;
    market.stop().await;
}
