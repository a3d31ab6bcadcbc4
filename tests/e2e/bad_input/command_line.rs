//! Mistakes on the command line: refused at once, with a sentence that names the remedy.

use std::process::Stdio;
use std::time::Duration;

use super::{assert_unharmed, market};
use crate::market::{Market, Shape};
use crate::process::{Process, assert_fails, eventually, merit};

const ANY_PORT: [&str; 4] = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];

#[tokio::test]
async fn a_data_directory_has_one_process() {
    let (market, _edge) = market(Shape::AllInOne).await;
    let data = market.data_dir().display().to_string();
    let process = format!("process {}", market.processes[0].id());
    let second = [&["up", "--no-demo", "--data-dir", &data], &ANY_PORT[..]].concat();
    assert_fails(&second, &[&data, &process, "stop it, or give this one another directory"]).await;
    assert_fails(&["exchange", "--data-dir", &data, "--grpc", "127.0.0.1:0"], &[&data, &process]).await;
    assert_unharmed(&market).await;
    market.stop().await;
}

#[tokio::test]
async fn a_busy_or_open_address_is_refused_with_its_flag() {
    let (market, _edge) = market(Shape::AllInOne).await;
    let data = market.dir.path().join("other");
    let data_dir = data.display().to_string();
    let (http, grpc) = (market.http.trim_start_matches("http://"), market.grpc.trim_start_matches("http://"));
    let up = ["up", "--no-demo", "--data-dir", &data_dir];
    assert_fails(&[&up, &["--http", http, "--grpc", "127.0.0.1:0"][..]].concat(), &[http, "in use", "--http"]).await;
    assert_fails(&[&up, &["--http", "127.0.0.1:0", "--grpc", grpc][..]].concat(), &[grpc, "in use", "--grpc"]).await;
    for (flag, other) in [("--http", "--grpc"), ("--grpc", "--http")] {
        let open = [&up, &[flag, "0.0.0.0:0", other, "127.0.0.1:0"][..]].concat();
        assert_fails(&open, &[&data_dir, "operator's key", "merit keys create"]).await;
    }
    assert!(!data.exists());
    assert_unharmed(&market).await;
    market.stop().await;
}

#[tokio::test]
async fn what_the_command_line_names_must_be_there() {
    let (market, _edge) = market(Shape::AllInOne).await;
    let at = ["--broker", &market.http];
    assert_fails(&["book", "eu-west/gpu", at[0], at[1]], &["no market `eu-west/gpu`"]).await;
    assert_fails(&["book", "gpu", at[0], at[1]], &["`gpu` is not a market", "region/class"]).await;
    assert_fails(&["trades", "gpu", at[0], at[1]], &["`gpu` is not a market"]).await;
    assert_fails(&["book", "locl/wasm", at[0], at[1]], &["`locl/wasm`; did you mean `local/wasm`?"]).await;
    assert_fails(&["invoke", "nope", at[0], at[1]], &["no function `nope` (not_found)"]).await;
    for command in [&["invoke"][..], &["quote"], &["functions"], &["functions", "delete"]] {
        assert_fails(&[command, &["ehco", at[0], at[1]]].concat(), &["no function `ehco`; did you mean `echo`?"]).await;
    }
    assert_fails(&["deploy", "f", "missing.wasm", at[0], at[1]], &["could not read missing.wasm"]).await;
    let source = format!("{}/functions/echo.c", env!("CARGO_MANIFEST_DIR"));
    assert_fails(&["deploy", "f", &source, at[0], at[1]], &["not a WebAssembly module"]).await;
    assert_fails(&["deploy", "a b", &source, at[0], at[1]], &["`a b` is not a name"]).await;
    let only = ["invoke", "echo", "--header", "Merit-Only: nobody", at[0], at[1]];
    assert_fails(&only, &["no_eligible_provider", "edge-1 in local/wasm: ", "Merit-Only"]).await;
    assert_fails(&["journal", "verify", "nowhere"], &["no data directory nowhere"]).await;
    let functions = format!("{}/functions", env!("CARGO_MANIFEST_DIR"));
    assert_fails(&["journal", "verify", &functions], &["no journal in", &functions]).await;
    assert_unharmed(&market).await;
    market.stop().await;
}

#[tokio::test]
async fn without_a_broker_the_way_to_start_one_is_told() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let broker = format!("http://{free}");
    for command in [&["book", "local/wasm"][..], &["invoke", "echo"], &["functions"]] {
        let arguments = [command, &["--broker", &broker]].concat();
        assert_fails(&arguments, &[&broker, "does not answer", "`merit up`", "--broker"]).await;
    }
    assert_fails(&["functions", "--broker", "nonsense"], &["`nonsense`", "http://127.0.0.1:8080"]).await;
}

#[tokio::test]
async fn a_provider_that_cannot_sell_says_why_and_ends() {
    let (market, _edge) = market(Shape::AllInOne).await;
    let start = ["provider", "--name", "edge-2", "--exchange", &market.grpc];
    let bad = [
        (&["--per-gb-second", "-1"][..], &["--per-gb-second", "`-1` is negative"][..]),
        (&["--per-request", "free"], &["--per-request", "`free`"]),
        (&["--market", "eu-west/gpu"], &["no market `eu-west/gpu`"]),
        (&["--market", "gpu"], &["--market", "`gpu`"]),
        (&["--cpu-share", "2"], &["CPU share", "2"]),
        (&["--slots", "0"], &["0 slots"]),
        (&["--largest-mb", "5000"], &["5000 MB", "2048"]),
        (&["--strategy", "utilisation"], &["--ceiling"]),
        (&["--free-renews", "day"], &["--free-renews goes with --free-requests or --free-gb-seconds"]),
        (&["--free-requests", "0"], &["free", "a bound of 0"]),
        (&["--free-gb-seconds", "99999999999999999"], &["--free-gb-seconds", "too many"]),
        (&["--audience", "nobody"], &["there is no account nobody"]),
        (&["--label", "solar"], &["--label", "energy=solar"]),
        (&["--offer-expires-after", "0"], &["offers_expire_after", "a second to a day"]),
        (&["--name", "edge 2"], &["--name", "`edge 2`"]),
    ];
    for (more, named) in bad {
        let arguments = match more[0] {
            "--name" => [&["provider", "--exchange", &market.grpc], more].concat(),
            _ => [&start, more].concat(),
        };
        assert_fails(&arguments, named).await;
    }
    let owned = ["provider", "--name", "dev", "--exchange", &market.grpc];
    assert_fails(&owned, &["refused the logon", "account `dev` exists already"]).await;
    let nonsense = ["provider", "--name", "edge-2", "--exchange", "nonsense"];
    assert_fails(&nonsense, &["--exchange", "`nonsense`", "http://127.0.0.1:7070"]).await;
    assert_unharmed(&market).await;
    market.stop().await;
}

/// Providers and exchanges start in any order, so a provider waits, says so, and stops when it is told to.
#[tokio::test]
async fn a_provider_waits_for_an_exchange_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let exchange = format!("http://{free}");
    let log = dir.path().join("edge-1.log");
    let stderr = std::fs::File::create(&log).unwrap();
    let start = ["provider", "--name", "edge-1", "--exchange", &exchange];
    let provider = |stderr| merit().args(start).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    let mut stopped = provider(stderr.try_clone().unwrap());
    eventually("it says what it waits for", || async {
        let said = std::fs::read_to_string(&log).unwrap();
        said.contains(&format!("waiting for the exchange at {exchange}: nothing listens")).then_some(())
    })
    .await;
    let stop = ["-TERM".to_owned(), stopped.id().unwrap().to_string()];
    assert!(tokio::process::Command::new("kill").args(stop).status().await.unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(5), stopped.wait()).await;
    assert!(status.expect("it stops while it waits").unwrap().success());

    let waiting = provider(stderr);
    let data = dir.path().join("data").display().to_string();
    let up = ["up", "--no-demo", "--data-dir", &data, "--http", "127.0.0.1:0", "--grpc", &free];
    let market = Market::of(vec![Process::start(&up, &dir.path().join("up.log")).await], dir);
    market.until_offers_of("edge-1", true).await;
    drop(waiting);
    market.stop().await;
}
