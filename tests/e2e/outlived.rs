//! Calls that outlive their exchange: the next run settles them, also those that the crash forgot.

use merit_exchange::replay;
use merit_terms::LeaseId;
use serde_json::json;

use crate::crash::newest_segment;
use crate::market::{Answer, Market, Shape};

/// Kills the exchange during a call, and starts the next run, which answers it. `meanwhile` gets the dead data
/// directory.
async fn outlive(meanwhile: impl Fn(&std::path::Path)) -> (Market, Answer) {
    let mut market = Market::start(Shape::ThreeProcesses).await;
    let provider = market.provider("edge-1", &["--per-request", "0.000001", "--per-gb-second", "0"]).await;
    market.deploy("wait", json!({})).await;
    // The provider has the module before the exchange is gone.
    assert_eq!(market.invoke("wait", "1").await.status, 200);
    let exchange = market.processes.remove(0);
    let (answer, exchange) = tokio::join!(market.invoke("wait", "3000"), async {
        market.until_leases_of("edge-1", |leases| leases == 1).await;
        let killed = exchange.kill().await;
        meanwhile(&market.data_dir());
        killed.start_again().await
    });
    market.processes.insert(0, exchange);
    market.until_offers_of("edge-1", true).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "waited 3000 ms\n"), "{answer:?}");
    assert_eq!(answer.header("merit-cost"), "0.000001");
    let account = market.get("/v1/accounts/dev").await.json();
    assert_eq!((&account["balance"], &account["held"]), (&json!("999.999998"), &json!("0")));
    assert_eq!(market.get("/v1/accounts/edge-1").await.json()["balance"], "0.000002");
    assert_eq!(market.get("/v1/accounts").await.json()["sum"], "0");
    let id = answer.header("merit-invocation-id");
    let record = market.get(&format!("/v1/invocations/{id}")).await.json();
    assert_eq!((&record["state"], &record["cost"]), (&json!("settled"), &json!("0.000001")), "{record}");
    // This call and the next are served as usual.
    assert_eq!(market.invoke("wait", "1").await.status, 200);
    assert!(provider.stop().await.success());
    (market, answer)
}

#[tokio::test]
async fn a_call_that_outlives_its_exchange_is_settled_later() {
    let (market, answer) = outlive(|_| {}).await;
    let id: LeaseId = answer.header("merit-invocation-id").parse().unwrap();
    assert_eq!(id.run, 1);
    market.stop().await;
}

#[tokio::test]
async fn a_call_with_a_forgotten_lease_is_settled_by_proof() {
    let (market, answer) = outlive(|data| {
        // The batch of the lease was incomplete on the disk.
        let segment = newest_segment(data);
        let mut bytes = std::fs::read(&segment).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        bytes[end - 5..end].fill(0xA5);
        std::fs::write(&segment, bytes).unwrap();
    })
    .await;
    assert!(market.processes[0].log().contains("the journal's damaged end was cut off"));
    let id: LeaseId = answer.header("merit-invocation-id").parse().unwrap();
    let dir = market.stop().await;
    let mut forgotten = 0;
    replay(&dir.path().join("data"), |_, command, _| {
        if let merit_engine::Command::SettleForgotten(late) = command {
            assert_eq!(late.terms.lease, id);
            forgotten += 1;
        }
    })
    .unwrap();
    assert_eq!(forgotten, 1);
}
