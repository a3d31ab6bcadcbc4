//! A provider and its peer for each test, and a client that speaks as a broker does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use merit_adapters::{Passed, ProviderAnswer, ProviderCall, Report, agent};
use merit_agent::{Provider, ProviderSettings, StartError, Strategy};
use merit_proto::{Transport, v1};
use merit_terms::{Adapter, LeaseId, PoolSize, Price, Tariff};
use merit_wasm::{ModuleSettings, Runtime, RuntimeSettings};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;

use crate::peer::{Peer, Seen, proof};

const TARIFF: Tariff = Tariff {
    per_request: Price::ZERO,
    per_gb_second: Price::from_picodollars(10_000_000),
    per_cpu_ms: Price::ZERO,
    per_gb_egress: Price::ZERO,
    increment_ms: 1,
    minimum_ms: 1,
    memory_step_mb: 1,
    bills_cold_start: false,
};

fn functions() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../functions")
}

pub(crate) fn sample(name: &str) -> Bytes {
    std::fs::read(functions().join(format!("{name}.wasm"))).unwrap().into()
}

pub(crate) fn hostile(name: &str) -> Bytes {
    wat::parse_file(functions().join("hostile").join(format!("{name}.wat"))).unwrap().into()
}

pub(crate) fn settings(slots: u32) -> ProviderSettings {
    ProviderSettings {
        name: "edge-1".parse().unwrap(),
        markets: vec!["local/wasm".parse().unwrap()],
        pool: PoolSize { memory_mb: 1024, slots },
        cpu_share: 1.0,
        strategy: Strategy::Utilisation { tariff: TARIFF, ceiling: Price::from_picodollars(20_000_000), rungs: 8 },
        free: None,
        audience: Vec::new(),
        labels: BTreeMap::new(),
        offers_expire_after: None,
        vcpus_milli: 1000,
        memory_mb: 16..=256,
        longest_ms: 60_000,
        protection: None,
        endpoint: None,
        adapter: Adapter::Agent,
        targets: None,
    }
}

pub(crate) async fn start(settings: ProviderSettings, transport: Transport) -> Result<Provider, StartError> {
    let runtime = Runtime::new(RuntimeSettings { threads: 4, modules: ModuleSettings::default() }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Provider::start(settings, transport, listener, runtime).await
}

/// The peer behind a socket of its own.
pub(crate) async fn network(peer: &Peer) -> Transport {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder().add_routes(peer.routes());
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    Transport::network(&url).unwrap()
}

pub(crate) struct World {
    pub(crate) peer: Peer,
    pub(crate) seen: UnboundedReceiver<Seen>,
    pub(crate) provider: Provider,
    pub(crate) broker: Broker,
}

impl World {
    pub(crate) async fn new(module: Bytes, slots: u32) -> World {
        let (peer, seen) = Peer::new(module);
        let transport = network(&peer).await;
        World::with(peer, seen, transport, slots).await
    }

    pub(crate) async fn with(peer: Peer, seen: UnboundedReceiver<Seen>, transport: Transport, slots: u32) -> World {
        let provider = start(settings(slots), transport).await.unwrap();
        let broker = Broker::new(provider.endpoint());
        World { peer, seen, provider, broker }
    }

    /// A new lease's token.
    pub(crate) fn token(&self, sequence: u64) -> String {
        self.peer.sign(&self.peer.claims(sequence))
    }

    pub(crate) fn token_with(&self, sequence: u64, change: impl FnOnce(&mut v1::LeaseClaims)) -> String {
        let mut claims = self.peer.claims(sequence);
        change(&mut claims);
        self.peer.sign(&claims)
    }
}

/// Waits for the next event of the peer that `wanted` takes.
pub(crate) async fn sees<T>(seen: &mut UnboundedReceiver<Seen>, wanted: impl Fn(Seen) -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = wanted(seen.recv().await.unwrap()) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(20), waiting).await.expect("the peer sees it in time")
}

#[derive(Clone)]
pub(crate) struct Broker {
    client: Client<HttpConnector, Full<Bytes>>,
    endpoint: String,
}

pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) answer: ProviderAnswer,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn report(&self) -> &Report {
        match &self.answer {
            ProviderAnswer::Executed { report, .. } => report,
            other => panic!("{other:?}"),
        }
    }

    /// The code of an error's body.
    pub(crate) fn code(&self) -> String {
        let error: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        error["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// The proof that comes with every call, as text.
static PROOF: LazyLock<String> = LazyLock::new(|| merit_proto::write_proof(&proof()));

static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

impl Broker {
    fn new(endpoint: &str) -> Broker {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Broker { client, endpoint: endpoint.to_owned() }
    }

    pub(crate) async fn invoke(&self, token: &str, payload: impl Into<Bytes>) -> Answered {
        self.invoke_function("sample", token, payload).await
    }

    /// A call that is passed through, with the caller's headers.
    pub(crate) async fn pass(&self, token: &str, passed: Passed<'_>, headers: &HeaderMap, payload: &str) -> Answered {
        let call = ProviderCall { passed: Some(passed), headers, ..self.call("sample", token, &PROOF) };
        let payload = Full::new(Bytes::from(payload.to_owned()));
        self.send(agent::request(&call, payload).unwrap()).await.unwrap()
    }

    pub(crate) async fn invoke_function(&self, function: &str, token: &str, payload: impl Into<Bytes>) -> Answered {
        let call = self.call(function, token, &PROOF);
        self.send(agent::request(&call, Full::new(payload.into())).unwrap()).await.unwrap()
    }

    /// Sends a call with a proof of its lease, again while the provider is busy, and closes the connection before the
    /// answer, when `until` is over.
    pub(crate) async fn abandon(&self, token: &str, proof: &str, payload: &str, until: impl Future<Output = ()>) {
        let sent = async {
            loop {
                let call = self.call("sample", token, proof);
                let request = agent::request(&call, Full::new(Bytes::from(payload.to_owned()))).unwrap();
                let status = self.send(request).await.map(|answered| answered.status);
                if !matches!(status, Ok(StatusCode::TOO_MANY_REQUESTS)) {
                    break status;
                }
            }
        };
        tokio::select! {
            status = sent => panic!("{status:?}"),
            () = until => {}
        }
    }

    fn call<'a>(&'a self, function: &'a str, token: &'a str, proof: &'a str) -> ProviderCall<'a> {
        ProviderCall {
            endpoint: &self.endpoint,
            target: "",
            targets: &[],
            account: "dev",
            function,
            revision: 3,
            token,
            proof,
            invocation: LeaseId { run: 1, sequence: 99 },
            via: None,
            deadline: None,
            passed: None,
            headers: &NO_HEADERS,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        let request = Request::get(format!("{}{path}", self.endpoint)).body(Full::default()).unwrap();
        self.send(request).await.unwrap()
    }

    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Answered, hyper_util::client::legacy::Error> {
        let response = timeout(Duration::from_secs(20), self.client.request(request)).await.expect("an answer")?;
        let (head, body) = response.into_parts();
        let answer = agent::answer(&head);
        let body = body.collect().await.unwrap().to_bytes();
        Ok(Answered { status: head.status, headers: head.headers, answer, body })
    }
}
