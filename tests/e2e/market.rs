//! A market for a test: its processes, its data directory, and calls to its front door.

use std::path::PathBuf;

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, eventually};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    AllInOne,
    ThreeProcesses,
}

pub(crate) struct Market {
    pub(crate) http: String,
    pub(crate) grpc: String,
    /// The exchange's process first, then the broker's, if it has one of its own.
    pub(crate) processes: Vec<Process>,
    pub(crate) dir: TempDir,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer of the front door.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the code of an error answer.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no error in {self:?}")).to_owned()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Market {
    /// Starts a market without providers and functions.
    pub(crate) async fn start(shape: Shape) -> Market {
        Market::start_in(shape, tempfile::tempdir().unwrap()).await
    }

    /// Starts it on a data directory that may have a past.
    pub(crate) async fn start_in(shape: Shape, dir: TempDir) -> Market {
        Market::start_with(shape, dir, &["local/wasm"]).await
    }

    /// Starts it with these markets.
    pub(crate) async fn start_with(shape: Shape, dir: TempDir, markets: &[&str]) -> Market {
        let markets: Vec<&str> = markets.iter().flat_map(|market| ["--market", market]).collect();
        let path = |name: &str| dir.path().join(name);
        let data = path("data").display().to_string();
        let processes = match shape {
            Shape::AllInOne => {
                let up = ["up", "--no-demo", "--data-dir", &data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
                vec![Process::start(&[&up[..], &markets].concat(), &path("up.log")).await]
            }
            Shape::ThreeProcesses => {
                let exchange = ["exchange", "--data-dir", &data, "--grpc", "127.0.0.1:0"];
                let exchange = Process::start(&[&exchange[..], &markets].concat(), &path("exchange.log")).await;
                let grpc = exchange.url("grpc");
                let broker = ["broker", "--exchange", &grpc, "--http", "127.0.0.1:0"];
                let broker = Process::start(&broker, &path("broker.log")).await;
                vec![exchange, broker]
            }
        };
        Market::of(processes, dir)
    }

    /// Makes a market of running processes: the exchange's first, the broker's last.
    pub(crate) fn of(processes: Vec<Process>, dir: TempDir) -> Market {
        let (grpc, http) = (processes[0].url("grpc"), processes[processes.len() - 1].url("http"));
        let client = Client::builder(TokioExecutor::new()).http1_max_headers(256).build_http();
        Market { http, grpc, processes, dir, client }
    }

    /// Starts a provider, and returns when its offers stand in the book.
    pub(crate) async fn provider(&self, name: &str, arguments: &[&str]) -> Process {
        let mut all = vec!["provider", "--name", name, "--exchange", &self.grpc];
        all.extend(arguments);
        let process = Process::start(&all, &self.dir.path().join(format!("{name}.log"))).await;
        self.until_offers_of(name, true).await;
        process
    }

    /// Waits until a provider has offers, or none.
    pub(crate) async fn until_offers_of(&self, name: &str, some: bool) {
        eventually(&format!("{name} has offers: {some}"), || async {
            let offers = self.listed(name).await.map_or(0, |provider| provider["offers"].as_u64().unwrap());
            ((offers > 0) == some).then_some(())
        })
        .await;
    }

    /// Waits until a provider's first pool has as many leases as asked for.
    pub(crate) async fn until_leases_of(&self, name: &str, asked: impl Fn(u64) -> bool) {
        eventually(&format!("{name} has the leases asked for"), || async {
            let leases = self.listed(name).await?["pools"][0]["leases"].as_u64()?;
            asked(leases).then_some(())
        })
        .await;
    }

    /// Returns a provider from the list, if it is known.
    async fn listed(&self, name: &str) -> Option<Value> {
        let listed = self.get("/v1/providers").await.json();
        listed["providers"].as_array().unwrap().iter().find(|provider| provider["name"] == name).cloned()
    }

    /// Deploys a committed sample function for any provider, idempotent unless `more` says otherwise.
    pub(crate) async fn deploy(&self, name: &str, more: Value) {
        self.deploy_module(name, sample(name), more).await;
    }

    pub(crate) async fn deploy_module(&self, name: &str, module: Vec<u8>, more: Value) {
        let answer = self.call(Method::PUT, &format!("/v1/functions/{name}/module"), &[], module).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let mut definition = json!({"memory_mb": 128, "timeout_ms": 10_000, "providers": "any", "idempotent": true});
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let path = format!("/v1/functions/{name}?reset=true");
        let answer = self.call(Method::PUT, &path, &[], definition.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn invoke(&self, function: &str, payload: impl Into<Bytes>) -> Answer {
        self.invoke_with(function, &[], payload).await
    }

    pub(crate) async fn invoke_with(
        &self,
        function: &str,
        headers: &[(&str, &str)],
        payload: impl Into<Bytes>,
    ) -> Answer {
        self.call(Method::POST, &format!("/v1/functions/{function}/invocations"), headers, payload).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_call(method, path, headers, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Makes a call that may fail because the broker is dead.
    pub(crate) async fn try_call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        self.request(method, &format!("{}{path}", self.http), headers, body).await
    }

    /// Sends a request to any server.
    pub(crate) async fn request(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = self.client.request(request).await.map_err(|error| format!("{error:?}"))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Stops all by SIGTERM, the broker first.
    pub(crate) async fn stop(self) -> TempDir {
        for process in self.processes.into_iter().rev() {
            let log = process.log();
            assert!(process.stop().await.success(), "{log}");
        }
        self.dir
    }
}

/// Returns the module of a committed sample function.
pub(crate) fn sample(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/functions/{name}.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
