//! Requests to a running provider, and its total at the end.

use std::process::Stdio;

use serde_json::json;

use crate::in_both_shapes;
use crate::market::{Market, Shape};
use crate::process::{assert_fails, eventually, merit};

in_both_shapes! {
    a_provider_pauses_resumes_reprices_and_tells_its_total
}

async fn a_provider_pauses_resumes_reprices_and_tells_its_total(shape: Shape) {
    let market = Market::start(shape).await;
    market.deploy("echo", json!({})).await;
    market.deploy("wait", json!({})).await;
    let name = format!("seller-{shape:?}").to_lowercase();
    let printed = market.dir.path().join("printed");
    let runtime = market.dir.path().join("runtime");
    let merit = || {
        let mut command = merit();
        command.env("XDG_RUNTIME_DIR", &runtime);
        command
    };
    let mut selling = merit();
    selling.args(["provider", "--name", &name, "--exchange", &market.grpc, "--per-gb-second", "0.00001"]);
    selling.stdout(std::fs::File::create(&printed).unwrap()).stderr(Stdio::null());
    let mut selling = selling.spawn().unwrap();
    market.until_offers_of(&name, true).await;
    market.invoke("echo", "a").await;
    let ask = async |arguments: &[&str]| {
        let output = merit().arg("provider").args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let spot = async || market.get("/v1/markets").await.json()["markets"][0]["spot_price"].clone();
    eventually("it says that it is ready", || async { std::fs::read_to_string(&printed).unwrap().find("ready") }).await;
    let paused = ask(&["pause", &name]).await;
    assert_eq!(paused, format!("{name} sells nothing until `merit provider resume {name}`\n"));
    market.until_offers_of(&name, false).await;
    ask(&["price", &name, "--per-gb-second", "0.00002"]).await;
    assert!(ask(&["resume", &name]).await.contains("sells again"));
    let dear = spot().await;
    assert_eq!(
        ask(&["price", &name, "--per-gb-second", "0.00001"]).await,
        format!("{name} sells at 0.00001 USD per GB-s\n")
    );
    let (dear, cheap) = (dear.as_str().unwrap().to_owned(), spot().await.as_str().unwrap().to_owned());
    assert!(dear.parse::<f64>().unwrap() > cheap.parse::<f64>().unwrap() * 1.8, "{dear}, {cheap}");

    for (wrong, said) in [
        (&["price", &name, "--per-gb-second", "0.1", "--ceiling", "0.2"][..], "--strategy utilisation"),
        (&["price", &name, "--per-gb-second", "2"], "at most 1 USD"),
    ] {
        let output = merit().arg("provider").args(wrong).output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(said), "{wrong:?}: {error}");
    }
    // A call that runs at the stop is served, and in the total.
    let stop = ["-TERM".to_owned(), selling.id().unwrap().to_string()];
    let stopping = async {
        market.until_leases_of(&name, |leases| leases == 1).await;
        assert!(tokio::process::Command::new("kill").args(stop).status().await.unwrap().success());
    };
    let (answer, ()) = tokio::join!(market.invoke("wait", "1000"), stopping);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(selling.wait().await.unwrap().success());
    let printed = std::fs::read_to_string(&printed).unwrap();
    let total = printed.lines().last().unwrap();
    assert!(total.starts_with(&format!("{name} sold 2 calls for 0.0000")), "{printed}");
    let missing = format!("no provider `{name}` of this user runs");
    assert_fails(&["provider", "pause", &name], &[&missing, "`merit provider`"]).await;
    market.stop().await;
}
