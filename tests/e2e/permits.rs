//! Permits: a seller reads code and environment of another account only by the proof of a call, or by an order to load
//! the module.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::any;
use http::{HeaderMap, Method};
use merit_adapters::agent;
use merit_proto::v1::exchange_message::Message as Heard;
use merit_proto::v1::modules_client::ModulesClient;
use merit_proto::v1::read_permit::Permit;
use merit_proto::{Connection, Transport, read_proof, v1};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::doors::{Key, Secured, succeeds};
use crate::market::sample;
use crate::process::merit;
use crate::raw_session::{RawSession, logon};
use crate::seller::rung;

const SECRET: &str = "hunter2";

/// A market with a seller that is no honest agent: it runs nothing, and keeps what is sent to it.
struct PermitWorld {
    secured: Secured,
    buyer: Key,
    seller: Key,
    session: RawSession,
    proofs: mpsc::UnboundedReceiver<v1::LeaseProof>,
    _tasks: JoinSet<()>,
}

async fn keep(State(proofs): State<mpsc::UnboundedSender<v1::LeaseProof>>, headers: HeaderMap) -> StatusCode {
    let (_, proof) = agent::lease(&headers).unwrap();
    proofs.send(read_proof(proof).unwrap()).unwrap();
    StatusCode::FORBIDDEN
}

impl PermitWorld {
    async fn start() -> PermitWorld {
        let (secured, mut tasks) = (Secured::start().await, JoinSet::new());
        let (tell, proofs) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback_service(any(keep).with_state(tell));
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let buyer = secured.account("buyer").await;
        let seller = PermitWorld::register(&secured, "sunny").await;
        let said = v1::Logon { key: seller.text(), endpoint, ..logon("sunny") };
        let mut session = RawSession::start(&secured.market, said).await;
        session.quote("local/wasm", vec![rung(1, 1024, 1_000)]).await;
        PermitWorld { secured, buyer, seller, session, proofs, _tasks: tasks }
    }

    /// Opens a provider with an account of its own. Returns a provider's key.
    async fn register(secured: &Secured, name: &str) -> Key {
        secured.account(name).await;
        let register = json!({"name": name, "account": name, "kind": "market"});
        secured.operate(Method::POST, "/v1/providers", register).await;
        secured.key(name, "provider").await
    }

    /// Defines a function of the buyer, whose second revision has an environment.
    async fn define(&self, name: &str, module: &str, providers: serde_json::Value) {
        self.secured.deploy(&self.buyer, name, sample(module)).await;
        self.change(name, json!({"environment": {"PASSWORD": SECRET}})).await;
        self.change(name, json!({"providers": providers})).await;
    }

    async fn change(&self, name: &str, patch: serde_json::Value) {
        let path = format!("/v1/functions/{name}");
        let changed = self.secured.call_as(&self.buyer, Method::PATCH, &path, &[], patch.to_string()).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }

    /// Returns the digest of a function's module.
    async fn digest(&self, name: &str) -> Vec<u8> {
        let path = format!("/v1/functions/{name}");
        let function = self.secured.call_as(&self.buyer, Method::GET, &path, &[], "").await.json();
        let digits = function["module"].as_str().unwrap();
        (0..64).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    /// Calls a function. Returns the proof that came with the call.
    async fn call(&mut self, name: &str) -> v1::LeaseProof {
        let path = format!("/v1/functions/{name}/invocations");
        self.secured.call_as(&self.buyer, Method::POST, &path, &[], "").await;
        self.proofs.recv().await.unwrap()
    }

    async fn warm(&self, name: &str) {
        let path = format!("/v1/functions/{name}/warm");
        let asked = self.secured.call_as(&self.buyer, Method::POST, &path, &[], "").await;
        assert_eq!(asked.status, 200, "{asked:?}");
    }

    async fn warm_request(&mut self) -> v1::WarmModule {
        self.session.hear(|heard| if let Heard::WarmModule(asked) = heard { Some(asked.clone()) } else { None }).await
    }

    fn modules(&self, key: &Key) -> ModulesClient<Transport> {
        let key = Some(key.text().parse().unwrap());
        let connection = Connection { key, ..Connection::to(&self.secured.market.grpc) };
        ModulesClient::new(Transport::connect(&connection).unwrap())
    }

    /// Reads a module.
    async fn module(&self, key: &Key, digest: Vec<u8>, permit: Option<Permit>) -> Result<Vec<u8>, Status> {
        let permit = permit.map(|permit| v1::ReadPermit { permit: Some(permit) });
        let mut chunks = self.modules(key).get(v1::GetModuleRequest { digest, permit }).await?.into_inner();
        let mut module = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            module.extend_from_slice(&chunk.data);
        }
        Ok(module)
    }

    /// Reads the second revision of a function, which has the environment.
    async fn environment(
        &self,
        key: &Key,
        name: &str,
        permit: Option<Permit>,
    ) -> Result<BTreeMap<String, String>, Status> {
        let (account, function) = ("buyer".to_owned(), name.to_owned());
        let permit = permit.map(|permit| v1::ReadPermit { permit: Some(permit) });
        let request = v1::GetRevisionRequest { account, function, revision: 2, permit };
        Ok(self.modules(key).get_revision(request).await?.into_inner().environment)
    }

    /// Checks that a function's code and environment are not given, and in these words.
    async fn check_refused(&self, key: &Key, name: &str, permit: Option<Permit>, said: &str) {
        let read = self.module(key, self.digest(name).await, permit.clone()).await.map(|_| "code");
        let environment = self.environment(key, name, permit).await.map(|_| "environment");
        for refused in [read.unwrap_err(), environment.unwrap_err()] {
            assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
            assert!(refused.message().contains(said), "{refused:?}");
        }
    }

    /// Checks that a function's code and environment are given.
    async fn check_given(&self, key: &Key, name: &str, module: &str, permit: Option<Permit>) {
        let read = self.module(key, self.digest(name).await, permit.clone()).await.unwrap();
        assert!(read == sample(module), "{} bytes", read.len());
        let environment = self.environment(key, name, permit).await.unwrap();
        assert_eq!(environment, BTreeMap::from([("PASSWORD".to_owned(), SECRET.to_owned())]));
    }
}

#[tokio::test]
async fn a_seller_without_a_call_reads_no_code_of_others() {
    let world = PermitWorld::start().await;
    world.define("f", "echo", json!("any")).await;
    let none = "permit: none is shown; a provider reads";
    world.check_refused(&world.seller, "f", None, none).await;
    // What is kept is not told either.
    let nowhere = world.module(&world.seller, vec![9; 32], None).await.unwrap_err();
    let nothing = world.environment(&world.seller, "nothing", None).await.unwrap_err();
    assert!(nowhere.message().starts_with(none) && nothing.message().starts_with(none), "{nowhere:?} {nothing:?}");
    // By the key of its own session a seller signs what it likes.
    let key: [u8; 32] = world.session.welcome.session_key.clone().try_into().unwrap();
    let terms =
        v1::LeaseTerms { account: 4, function: 0, revision: 2, settle_by: u64::MAX, ..v1::LeaseTerms::default() };
    let forged = Permit::Lease(merit_proto::prove(&key, &terms));
    world.check_refused(&world.seller, "f", Some(forged), "made by another key").await;
    let terms = v1::WarmingTerms {
        provider: "sunny".to_owned(),
        session: world.session.welcome.session,
        account: "buyer".to_owned(),
        function: "f".to_owned(),
        revision: 2,
        module: world.digest("f").await,
        expires: u64::MAX,
    };
    let forged = Permit::Warming(merit_proto::order_warming(&key, &terms));
    world.check_refused(&world.seller, "f", Some(forged), "made by another key").await;
    // Its owner, and the operator, read it by name.
    for key in [&world.buyer, &world.secured.operator] {
        world.check_given(key, "f", "echo", None).await;
    }
}

#[tokio::test]
async fn the_proof_of_a_call_reads_its_revision_alone() {
    let mut world = PermitWorld::start().await;
    world.define("f", "echo", json!("any")).await;
    world.define("other", "wordcount", json!("any")).await;
    let proof = Permit::Lease(world.call("f").await);
    world.check_given(&world.seller, "f", "echo", Some(proof.clone())).await;
    world.check_refused(&world.seller, "other", Some(proof.clone()), "it is for another ").await;
    let rival = PermitWorld::register(&world.secured, "rival").await;
    world.check_refused(&rival, "f", Some(proof.clone()), "it is another provider's").await;
    let client = world.secured.key("sunny", "client").await;
    world.check_refused(&client, "f", Some(proof), "it is another provider's").await;
}

#[tokio::test]
async fn a_warming_order_reads_its_revision_in_its_session() {
    let mut world = PermitWorld::start().await;
    let _rival = PermitWorld::register(&world.secured, "rival").await;
    world.define("theirs", "wordcount", json!(["rival"])).await;
    world.define("f", "echo", json!("any")).await;
    world.warm("theirs").await;
    world.warm("f").await;
    let asked = world.warm_request().await;
    assert_eq!((asked.function.as_str(), asked.revision), ("f", 2), "a function for others orders nothing here");
    let order = Some(Permit::Warming(asked.order.unwrap()));
    world.check_given(&world.seller, "f", "echo", order.clone()).await;
    world.check_refused(&world.seller, "theirs", order.clone(), "it is for another ").await;
    // The function is for its own account's providers from now on.
    world.change("f", json!({"providers": "own"})).await;
    world.check_refused(&world.seller, "f", order.clone(), "no longer lets this provider run").await;
    world.change("f", json!({"providers": "any"})).await;
    world.check_given(&world.seller, "f", "echo", order.clone()).await;
    // Another session of the provider begins.
    let said = v1::Logon { key: world.seller.text(), ..logon("sunny") };
    let _later = RawSession::start(&world.secured.market, said).await;
    world.check_refused(&world.seller, "f", order, "its session is over").await;
}

#[tokio::test]
async fn deploy_is_for_own_providers_where_keys_are_asked_for() {
    let secured = Secured::start().await;
    let team = secured.account("team").await;
    let module = format!("{}/functions/echo.wasm", env!("CARGO_MANIFEST_DIR"));
    let deploy = async |name: &str, more: &[&str]| {
        let mut command = merit();
        command.args(["deploy", name, &module, "--broker", &secured.market.http]).args(more);
        command.env("MERIT_KEY", team.text());
        succeeds(command).await
    };
    let said = deploy("f", &[]).await;
    let own = "f revision 1 is deployed for your own providers only (--providers any: for all); call it with: ";
    assert!(said.starts_with(own), "{said}");
    assert!(deploy("f", &["--providers", "any"]).await.contains(" is deployed for any provider; "));
    assert!(deploy("f", &[]).await.contains(" is deployed for any provider; "), "what is not named stays");
    assert!(deploy("g", &["--providers", "edge-1,edge-2"]).await.contains(" is deployed for edge-1, edge-2; "));
}

#[tokio::test]
async fn an_agent_with_a_key_loads_and_runs_by_permits() {
    let secured = Secured::start().await;
    let team = secured.account("team").await;
    let cache = tempfile::tempdir().unwrap();
    let _edge = secured.provider("edge", &["--module-cache", cache.path().to_str().unwrap()]).await;
    let deploy = async |name: &str, module: &str, more: &[&str]| {
        let module = format!("{}/functions/{module}.wasm", env!("CARGO_MANIFEST_DIR"));
        let mut command = merit();
        command.args(["deploy", name, &module, "--providers", "any", "--broker", &secured.market.http]).args(more);
        command.env("MERIT_KEY", team.text());
        succeeds(command).await
    };
    assert!(deploy("warm", "echo", &["--wait"]).await.contains("ready at edge after "));
    deploy("cold", "wordcount", &[]).await;
    for name in ["warm", "cold"] {
        let path = format!("/v1/functions/{name}/invocations");
        let told = secured.call_as(&team, Method::POST, &path, &[], "a b").await;
        assert_eq!(told.status, 200, "{name}: {told:?}");
    }
}

#[tokio::test]
async fn deploy_is_for_all_on_keyless_loopback() {
    let market = crate::market::Market::start(crate::market::Shape::AllInOne).await;
    let module = format!("{}/functions/echo.wasm", env!("CARGO_MANIFEST_DIR"));
    let mut command = merit();
    command.args(["deploy", "f", &module, "--broker", &market.http]);
    let said = succeeds(command).await;
    assert!(said.starts_with("f revision 1 is deployed for any provider; call it with: merit invoke f"), "{said}");
}
