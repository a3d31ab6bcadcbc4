//! Privacy: planted names of a private cluster, its functions and its owner are looked for in everything that a
//! stranger, another tenant and another seller can read; and its owner, those it names and the operator do see it.

mod planted;
mod readers;

use http::Method;
use serde_json::{Value, json};

use crate::doors::{Key, Secured};
use crate::market::{Answer, sample};
use planted::{ACCOUNT, ANNEX, Cluster, FUNCTION, NO_PROVIDER, PROVIDER, assert_silent, whole};
use readers::{Reader, Streams, without};

/// Calls a function of a tenant at the public seller.
async fn public_call(secured: &Secured, key: &Key) -> Answer {
    let called = secured.call_as(key, Method::POST, "/v1/functions/mine/invocations", &[], "in public").await;
    assert_eq!(called.header("merit-provider"), "market-seller", "{called:?}");
    called
}

/// Returns the one market as everybody sees it.
async fn market(secured: &Secured) -> Value {
    secured.market.get("/v1/markets").await.json()["markets"][0].clone()
}

#[tokio::test]
async fn others_read_nothing_of_a_private_cluster() {
    let secured = Secured::start().await;
    let _seller = secured.provider("market-seller", &["--per-gb-second", "0.00001"]).await;
    let tenant = secured.account("ours").await;
    secured.deploy(&tenant, "mine", sample("echo")).await;
    let before = market(&secured).await;
    let streams = Streams::open(&secured).await;

    let cluster = Cluster::start(&secured).await;
    for _ in 0..3 {
        cluster.run(&secured).await;
    }
    let visited = secured.market.call(Method::POST, &format!("/function/lobby.{ACCOUNT}"), &[], "").await;
    assert_eq!(visited.status, 200);
    assert_silent("a visitor of a public function", &whole(&visited));
    let standing = market(&secured).await;
    assert_eq!(standing, before, "private offers and trades change nothing in public");

    let called = public_call(&secured, &tenant).await;
    streams.read_to_public_trade().await;
    assert_eq!(market(&secured).await["trades"], 1);
    let sells = secured.key("ours", "provider").await;
    let rival = secured.key("market-seller", "provider").await;
    let invocation = called.header("merit-invocation-id");
    let reader = |who, key, account| Reader { who, key, account, function: "mine", invocation };
    let readers = [
        reader("a stranger", None, "ours"),
        reader("a tenant", Some(&tenant), "ours"),
        reader("a tenant's provider", Some(&sells), "ours"),
        reader("another seller", Some(&rival), "market-seller"),
    ];
    for reader in readers {
        reader.read_doors(&secured).await;
        reader.read_methods(&secured).await;
    }
}

#[tokio::test]
async fn a_private_name_is_answered_like_one_that_is_nowhere() {
    let secured = Secured::start().await;
    let _seller = secured.provider("market-seller", &[]).await;
    let tenant = secured.account("ours").await;
    secured.deploy(&tenant, "mine", sample("echo")).await;
    let _cluster = Cluster::start(&secured).await;
    let ask = async |name: &str| {
        let mut told = Vec::new();
        for path in ["/v1/functions/mine/quote", "/v1/functions/mine/invocations"] {
            let answer = secured.call_as(&tenant, Method::POST, path, &[("merit-only", name)], "").await;
            told.push(without(name, answer.json()));
        }
        assert!(told.iter().all(|told| told.contains("NAME")), "an unknown name is told so: {told:?}");
        let named = json!({"providers": [name], "deployments": [{"provider": name, "target": ""}]}).to_string();
        let put = secured.call_as(&tenant, Method::PATCH, "/v1/functions/mine", &[], named).await;
        assert_eq!(put.status, 200, "{put:?}");
        for (method, path) in [
            (Method::POST, "/v1/functions/mine/quote"),
            (Method::POST, "/v1/functions/mine/invocations"),
            (Method::POST, "/v1/functions/mine/warm"),
        ] {
            let answer = secured.call_as(&tenant, method, path, &[], "").await;
            told.push(without(name, answer.json()));
        }
        let any = json!({"providers": "any", "deployments": []}).to_string();
        secured.call_as(&tenant, Method::PATCH, "/v1/functions/mine", &[], any).await;
        told
    };
    // The number of the revision grows with each definition.
    let revision = |told: Vec<String>| {
        let numberless = |text: String| text.split("\"revision\":").map(str::to_owned).collect::<Vec<_>>();
        told.into_iter().map(|told| numberless(told)[0].clone()).collect::<Vec<_>>()
    };
    assert_eq!(revision(ask(PROVIDER).await), revision(ask(NO_PROVIDER).await));
}

#[tokio::test]
async fn the_owner_and_those_it_names_see_a_private_cluster() {
    let secured = Secured::start().await;
    let _seller = secured.provider("market-seller", &[]).await;
    let tenant = secured.account("ours").await;
    let cluster = Cluster::start(&secured).await;
    let called = cluster.run(&secured).await;
    let names = async |key: &Key| {
        let listed = cluster.listed(&secured, key).await;
        let mut names: Vec<String> = listed.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&cluster.owner).await, ["market-seller", ANNEX, PROVIDER]);
    assert_eq!(names(&cluster.friend).await, ["market-seller", PROVIDER]);
    assert_eq!(names(&tenant).await, ["market-seller"]);
    assert_eq!(names(&secured.operator).await, ["market-seller", ANNEX, PROVIDER]);
    let listed = cluster.listed(&secured, &cluster.owner).await;
    let cellar = listed.iter().find(|provider| provider["name"] == PROVIDER).unwrap();
    assert!(cellar["pools"][0]["memory_mb"].is_number() && cellar["limits"].is_object(), "{cellar}");

    let quote = format!("/v1/functions/{FUNCTION}/quote");
    let quoted = secured.call_as(&cluster.owner, Method::POST, &quote, &[], "").await.json();
    let offers: Vec<&Value> = quoted["offers"].as_array().unwrap().iter().map(|offer| &offer["provider"]).collect();
    assert_eq!(offers, [ANNEX, PROVIDER], "{quoted}");
    let record = format!("/v1/invocations/{}", called.header("merit-invocation-id"));
    let record = secured.call_as(&cluster.owner, Method::GET, &record, &[], "").await.json();
    let attempts: Vec<&Value> = record["attempts"].as_array().unwrap().iter().map(|one| &one["provider"]).collect();
    assert_eq!(attempts, [ANNEX, PROVIDER], "{record}");
    let trades = async |key: &Key| {
        let tape = secured.call_as(key, Method::GET, "/v1/markets/local/wasm/trades", &[], "").await.json();
        let told = |trade: &Value| (trade["private"] == true, trade["cost"].is_string());
        tape["trades"].as_array().unwrap().iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(trades(&cluster.owner).await, [(true, true), (true, false)], "its own call, and that of its friend");
    assert_eq!(trades(&cluster.friend).await, [(true, true)]);
    assert_eq!(trades(&tenant).await, []);
    let metrics = secured.call_as(&secured.operator, Method::GET, "/metrics", &[], "").await;
    assert!(metrics.text().contains(PROVIDER), "the operator's metrics have every provider");
}
