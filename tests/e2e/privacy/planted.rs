//! A private cluster with unusual names, beside a public market; and the search for those names.

use http::Method;
use serde_json::{Value, json};

use crate::doors::{Key, Secured};
use crate::market::{Answer, sample};
use crate::process::{Process, eventually};

pub(super) const ACCOUNT: &str = "zq-vault-account";
pub(super) const PROVIDER: &str = "zq-cellar-provider";
/// A provider without a server behind it: calls fail there first.
pub(super) const ANNEX: &str = "zq-annex-provider";
pub(super) const FUNCTION: &str = "zq-crypt-function";
/// Names that nobody has, as long as the planted ones.
pub(super) const NO_PROVIDER: &str = "xw-attics-provider";
/// Price of the cluster in USD, and in picodollars.
const PRICE: &str = "0.71335571934";
const PICODOLLARS: &str = "713355719340";
const CLAIMED: &str = "zq-claimed-label";
const GRANTED: &str = "zq-granted-label";
const ENDPOINT: &str = "zq-hatch-endpoint";
const TARGET: &str = "zq-chute-target";
const ENVIRONMENT: &str = "zq-brass-environment";
const ALIAS: &str = "zq-north-alias";
const PAYLOAD: &str = "zq-plain-payload";

/// Everything that only the owner and those it names may read.
const PLANTED: [&str; 13] = [
    ACCOUNT,
    PROVIDER,
    ANNEX,
    FUNCTION,
    PRICE,
    PICODOLLARS,
    CLAIMED,
    GRANTED,
    ENDPOINT,
    TARGET,
    ENVIRONMENT,
    ALIAS,
    PAYLOAD,
];

/// Asserts that a text names nothing private.
pub(super) fn assert_silent(what: &str, text: &str) {
    let told: Vec<&&str> = PLANTED.iter().filter(|name| text.contains(**name)).collect();
    assert!(told.is_empty(), "{what} tells {told:?}: {text}");
}

/// Returns a name that is wrong by its last letter: an error may tell the nearest name.
pub(super) fn near(name: &str) -> String {
    format!("{}x", &name[..name.len() - 1])
}

/// Returns all of an answer as text.
pub(super) fn whole(answer: &Answer) -> String {
    format!("{} {:?} {}", answer.status, answer.headers, String::from_utf8_lossy(&answer.body))
}

/// The private cluster while it runs.
pub(super) struct Cluster {
    pub(super) owner: Key,
    pub(super) friend: Key,
    _processes: [Process; 2],
}

impl Cluster {
    /// Starts the cluster, for its owner and the account `friend`, and deploys the owner's functions.
    pub(super) async fn start(secured: &Secured) -> Cluster {
        let (owner, friend) = (secured.account(ACCOUNT).await, secured.account("friend").await);
        for name in [PROVIDER, ANNEX] {
            let register = json!({"name": name, "account": ACCOUNT, "kind": "own", "labels": {"zone": GRANTED}});
            secured.operate(Method::POST, "/v1/providers", register).await;
        }
        let key = secured.key(ACCOUNT, "provider").await.text();
        let start = async |name: &str, more: &[&str]| {
            let common = ["provider", "--name", name, "--exchange", &secured.market.grpc, "--key", &key];
            let offer = ["--per-request", "0", "--label", &format!("rack={CLAIMED}")];
            let log = secured.market.dir.path().join(format!("{name}.log"));
            Process::start(&[&common[..], &offer, more].concat(), &log).await
        };
        let cellar = start(PROVIDER, &["--audience", "friend", "--per-gb-second", PRICE]).await;
        let endpoint = format!("http://127.0.0.1:1/{ENDPOINT}");
        let annex = ["--adapter", "http", "--endpoint", &endpoint, "--no-probe", "--per-gb-second", "0.000001"];
        let annex = start(ANNEX, &annex).await;
        let cluster = Cluster { owner, friend, _processes: [cellar, annex] };
        eventually("the owner sees its offers", || async {
            let listed = cluster.listed(secured, &cluster.owner).await;
            let offers = |name| listed.iter().any(|one| one["name"] == name && one["offers"].as_u64() > Some(0));
            (offers(PROVIDER) && offers(ANNEX)).then_some(())
        })
        .await;
        cluster.deploy(secured).await;
        cluster
    }

    async fn deploy(&self, secured: &Secured) {
        let definition = json!({
            "memory_mb": 128, "timeout_ms": 10_000, "idempotent": true, "providers": "own",
            "environment": {"MODE": ENVIRONMENT}, "labels": {"team": ENVIRONMENT},
            "deployments": [{"provider": ANNEX, "target": format!("/{TARGET}")}],
        });
        let public = json!({"memory_mb": 128, "timeout_ms": 10_000, "providers": "own",
            "public": {"requests_per_second": 100}});
        let named = json!({"memory_mb": 128, "timeout_ms": 10_000, "providers": [PROVIDER]});
        for (key, name, definition) in
            [(&self.owner, FUNCTION, definition), (&self.owner, "lobby", public), (&self.friend, "guest", named)]
        {
            secured.deploy(key, name, sample("echo")).await;
            let path = format!("/v1/functions/{name}?reset=true");
            let put = secured.call_as(key, Method::PUT, &path, &[], definition.to_string()).await;
            assert_eq!(put.status, 200, "{put:?}");
        }
        let alias = format!("/v1/functions/{FUNCTION}/aliases/{ALIAS}");
        let put = secured.call_as(&self.owner, Method::PUT, &alias, &[], r#"{"revision": 1}"#).await;
        assert_eq!(put.status, 200, "{put:?}");
    }

    /// Calls the function of the owner, and that of its friend. Returns the owner's answer.
    pub(super) async fn run(&self, secured: &Secured) -> Answer {
        let call = async |key: &Key, function: &str| {
            let path = format!("/v1/functions/{function}/invocations");
            let answer = secured.call_as(key, Method::POST, &path, &[], PAYLOAD).await;
            assert_eq!((answer.status.as_u16(), answer.header("merit-provider")), (200, PROVIDER), "{answer:?}");
            answer
        };
        call(&self.friend, "guest").await;
        call(&self.owner, FUNCTION).await
    }

    /// Lists the providers that a key's holder sees.
    pub(super) async fn listed(&self, secured: &Secured, key: &Key) -> Vec<Value> {
        let listed = secured.call_as(key, Method::GET, "/v1/providers", &[], "").await.json();
        listed["providers"].as_array().unwrap().clone()
    }
}
