//! The front doors by the clients that they are for, in a market that asks for keys.

mod blame;
mod bounds;
mod broken;
mod canary;
mod every_answer;
mod function_server;
mod http2;
mod keep_alive;
mod keyless;
mod lambda;
mod methods;
mod openfaas;
mod others;
mod public;
mod refused_keys;
mod rotation;
mod smuggling;
mod streaming;
mod tls;
mod upstreams;

use std::path::PathBuf;
use std::process::Output;

use http::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::market::{Answer, Market, sample};
use crate::process::{Process, merit};

/// A market on loopback whose callers show keys.
pub(crate) struct Secured {
    pub(crate) market: Market,
    pub(crate) operator: Key,
}

/// A key of an account.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Key {
    fn of(made: &Value) -> Key {
        let text = |field: &str| made[field].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        Key { id: text("id"), secret: text("secret") }
    }

    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.text())
    }
}

impl Secured {
    /// Starts everything in one process, with an operator's key made in the directory before.
    pub(crate) async fn start() -> Secured {
        Secured::start_with(&[]).await
    }

    /// Starts it with these arguments as well.
    pub(crate) async fn start_with(more: &[&str]) -> Secured {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data").display().to_string();
        let create =
            ["keys", "create", "--role", "operator", "--account", "ops", "--data-dir", &data, "--output", "json"];
        let made = merit().args(create).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let operator = Key::of(&serde_json::from_slice(&made.stdout).unwrap());
        let up = [
            "up",
            "--require-keys",
            "--allow-network",
            "127.0.0.0/8",
            "--data-dir",
            &data,
            "--http",
            "127.0.0.1:0",
            "--grpc",
            "127.0.0.1:0",
        ];
        let process = Process::start(&[&up[..], more].concat(), &dir.path().join("up.log")).await;
        Secured { market: Market::of(vec![process], dir), operator }
    }

    pub(crate) async fn call_as(
        &self,
        key: &Key,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let bearer = key.bearer();
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        self.market.call(method, path, &all, body).await
    }

    /// Asks as the operator, and asserts success.
    pub(crate) async fn operate(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.call_as(&self.operator, method, path, &[], body.to_string()).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Opens an account with funds. Returns a client's key of it.
    pub(crate) async fn account(&self, name: &str) -> Key {
        self.operate(Method::POST, "/v1/accounts", json!({"id": name})).await;
        self.operate(Method::POST, &format!("/v1/accounts/{name}/deposits"), json!({"amount": "10"})).await;
        self.key(name, "client").await
    }

    pub(crate) async fn key(&self, account: &str, role: &str) -> Key {
        Key::of(&self.operate(Method::POST, "/v1/keys", json!({"role": role, "account": account})).await)
    }

    /// Starts a registered provider that sells to all, with a key of its own.
    pub(crate) async fn provider(&self, name: &str, arguments: &[&str]) -> Process {
        self.account(name).await;
        let register = json!({"name": name, "account": name, "kind": "market"});
        self.operate(Method::POST, "/v1/providers", register).await;
        let key = self.key(name, "provider").await.text();
        self.market.provider(name, &[&["--key", key.as_str()], arguments].concat()).await
    }

    /// Deploys a module for any provider.
    pub(crate) async fn deploy(&self, key: &Key, name: &str, module: Vec<u8>) {
        let path = format!("/v1/functions/{name}");
        let kept = self.call_as(key, Method::PUT, &format!("{path}/module?revision=false"), &[], module).await;
        assert_eq!(kept.status, 200, "{kept:?}");
        let module = kept.json()["module"].clone();
        let definition = json!({"memory_mb": 128, "timeout_ms": 10_000, "providers": "any", "module": module});
        let put = self.call_as(key, Method::PUT, &path, &[], definition.to_string()).await;
        assert_eq!(put.status, 200, "{put:?}");
    }
}

/// Returns a function that exits with 3.
pub(crate) fn exit_3() -> Vec<u8> {
    let path = format!("{}/functions/hostile/exit_3.wat", env!("CARGO_MANIFEST_DIR"));
    wat::parse_file(path).unwrap()
}

/// Starts a market with the functions of the clients' scripts. Returns the environment that they read.
pub(crate) async fn for_clients() -> (Secured, Process, Vec<(&'static str, String)>) {
    let secured = Secured::start().await;
    let edge = secured.provider("edge", &[]).await;
    let (team, slow) = (secured.account("team").await, secured.account("slow").await);
    for (name, module) in [("echo", sample("echo")), ("exit_3", exit_3()), ("wait", sample("wait"))] {
        secured.deploy(&team, name, module).await;
    }
    secured.deploy(&slow, "echo", sample("echo")).await;
    let rated = secured.account("rated").await;
    secured.deploy(&rated, "echo", sample("echo")).await;
    secured.operate(Method::PUT, "/v1/accounts/rated/limits", json!({"rate_per_second": 2})).await;
    secured.operate(Method::PUT, "/v1/accounts/slow/limits", json!({"rate_per_second": 0})).await;
    let environment = vec![
        ("AWS_ENDPOINT_URL_LAMBDA", secured.market.http.clone()),
        ("AWS_ACCESS_KEY_ID", team.id),
        ("AWS_SECRET_ACCESS_KEY", team.secret),
        ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
        ("SLOW_KEY", slow.id),
        ("SLOW_SECRET", slow.secret),
        ("RATED_KEY", rated.id),
        ("RATED_SECRET", rated.secret),
    ];
    (secured, edge, environment)
}

/// Returns a client that `tests/clients.sh` installed.
pub(crate) fn client(path: &str, environment: &[(&'static str, String)]) -> Command {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(path);
    assert!(path.exists(), "{} is missing: run tests/clients.sh", path.display());
    let mut command = Command::new(path);
    command.kill_on_drop(true);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

pub(crate) fn script(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Asserts success. Returns the standard output.
pub(crate) async fn succeeds(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(status.success(), "{command:?}\n{}\n{}", text(&stdout), text(&stderr));
    text(&stdout)
}
