//! Merit as a target: `merit up` with keys, one buyer, one provider's session and one function.
//!
//! The provider is the bench's own backend, so that only Merit stands between it and the load. Never measures.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use merit_proto::v1::exchange_message::Message as Told;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message;
use merit_proto::{Connection, Transport, v1};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::invoke_bench::SetupError;
use crate::invoke_bench::api_client::{ApiClient, key_of};
use crate::invoke_bench::child::{Cores, Measured};

const MARKET: &str = "bench/wasm";
/// Path of the function's calls.
pub(crate) const PATH: &str = "/v1/functions/bench/invocations";
/// Timeout of Merit's start.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// The shortest module that may be deployed, with a `_start` that does nothing; the backend runs none.
const MODULE: &[u8] = &[
    0, b'a', b's', b'm', 1, 0, 0, 0, // magic, version
    1, 4, 1, 0x60, 0, 0, // one type: no parameters, no results
    3, 2, 1, 0, // one function of it
    5, 3, 1, 0, 1, // one memory of a page
    7, 19, 2, 6, b'_', b's', b't', b'a', b'r', b't', 0, 0, // exports: _start
    6, b'm', b'e', b'm', b'o', b'r', b'y', 2, 0, // and memory
    10, 4, 1, 2, 0, 0x0b, // its body: end
];

/// Merit, ready for calls.
pub(crate) struct Merit {
    pub(crate) measured: Measured,
    pub(crate) http: SocketAddr,
    /// Authorization header of the caller.
    pub(crate) authorization: HeaderValue,
    pub(crate) selling: Selling,
}

/// The tasks that must go on while Merit is called.
pub(crate) struct Selling {
    /// Standard output, which stays open as a terminal would.
    _output: Lines<BufReader<ChildStdout>>,
    /// The task of the provider's session.
    _session: JoinSet<()>,
}

impl Merit {
    /// Starts a market that asks for keys, with one buyer, one seller and one function.
    pub(crate) async fn start(
        program: &Path,
        durability: &str,
        backend: SocketAddr,
        cores: Option<Cores>,
        directory: &Path,
    ) -> Result<Merit, SetupError> {
        let (log, data) = (directory.join("merit.log"), directory.join("data"));
        let operator = first_key(program, &data).await?;
        let mut command = Command::new(program);
        command.args(["up", "--no-demo", "--require-keys", "--durability", durability, "--market", MARKET]);
        // The provider is on this machine, where endpoints are refused by default.
        command.args(["--allow-network", "127.0.0.0/8", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
        command.arg("--data-dir").arg(&data);
        let mut measured = Measured::start(command, cores, &log)?;
        let silent = || SetupError::Silent {
            program: program.display().to_string(),
            seconds: READY_TIMEOUT.as_secs(),
            said: std::fs::read_to_string(&log).unwrap_or_default(),
        };
        let mut output = BufReader::new(measured.child.stdout.take().ok_or_else(silent)?).lines();
        let line = tokio::time::timeout(READY_TIMEOUT, output.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten().ok_or_else(silent)?;
        let (http, grpc) = parse_ready(&line).ok_or_else(silent)?;

        let operator = ApiClient { server: http, key: operator };
        let buyer = operator.open_account("buyer", "client").await?;
        let seller = operator.open_account("seller", "provider").await?;
        let provider = json!({"name": "bench", "account": "seller", "kind": "market"});
        operator.ask(Method::POST, "/v1/providers", provider.to_string()).await?;
        let key = Some(seller.key.parse().map_err(|_| SetupError::Key)?);
        let session = sell(Transport::connect(&Connection { key, ..Connection::to(&grpc) })?, backend).await?;
        let module = Bytes::from_static(MODULE);
        let kept = buyer.ask(Method::PUT, "/v1/functions/bench/module?revision=false", module).await?;
        let definition = json!({
            "memory_mb": 128, "timeout_ms": 3000, "providers": "any", "markets": [MARKET], "idempotent": true,
            "module": kept["module"],
        });
        buyer.ask(Method::PUT, "/v1/functions/bench", definition.to_string()).await?;
        let authorization = buyer.authorization()?;
        Ok(Merit { measured, http, authorization, selling: Selling { _output: output, _session: session } })
    }
}

/// Makes the operator's key in a data directory before its exchange starts.
pub(crate) async fn first_key(program: &Path, data: &Path) -> Result<String, SetupError> {
    let mut command = Command::new(program);
    command.args(["keys", "create", "--role", "operator", "--account", "ops", "--output", "json", "--data-dir"]);
    let failed = |error| SetupError::Start(program.display().to_string(), error);
    let made = command.arg(data).stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(failed)?;
    serde_json::from_slice(&made.stdout).ok().and_then(|made| key_of(&made)).ok_or(SetupError::Key)
}

/// Parses `ready http://ADDRESS grpc://ADDRESS in 0.1 s`.
pub(crate) fn parse_ready(line: &str) -> Option<(SocketAddr, String)> {
    let (http, rest) = line.strip_prefix("ready http://")?.split_once(" grpc://")?;
    let grpc = rest.split_whitespace().next()?;
    Some((http.parse().ok()?, format!("http://{grpc}")))
}

/// Logs the backend on as a provider and posts its offer. Returns after the offer rests.
async fn sell(exchange: Transport, backend: SocketAddr) -> Result<JoinSet<()>, SetupError> {
    let pools = vec![v1::PoolSize { memory_mb: 1 << 20, slots: 100_000 }];
    let (sender, receiver) = mpsc::channel(16);
    let say = |message| v1::ProviderMessage { message: Some(message) };
    let endpoint = format!("http://{backend}");
    let logon = v1::Logon { provider: "bench".to_owned(), pools: pools.clone(), endpoint, ..v1::Logon::default() };
    let quote = v1::QuoteLadder { market: MARKET.to_owned(), number: 1, rungs: vec![rung()] };
    for message in [Message::Logon(logon), Message::Quote(quote)] {
        drop(sender.try_send(say(message)));
    }
    let answer = ProviderGatewayClient::new(exchange).session(ReceiverStream::new(receiver)).await;
    let mut incoming = answer.map_err(Box::new)?.into_inner();
    let mut heartbeat = Duration::from_secs(1);
    loop {
        let message = incoming.message().await.map_err(Box::new)?;
        match message.and_then(|message| message.message) {
            Some(Told::Welcome(welcome)) => heartbeat = Duration::from_millis(welcome.heartbeat_ms.max(1).into()),
            Some(Told::QuoteAccepted(_)) => break,
            Some(Told::QuoteRefused(refused)) => return Err(SetupError::Offer(refused.message)),
            Some(_) => {}
            None => return Err(SetupError::Offer("the session ended".to_owned())),
        }
    }
    let mut session = JoinSet::new();
    session.spawn(async move {
        let mut beat = tokio::time::interval(heartbeat);
        loop {
            tokio::select! {
                told = incoming.message() => if !matches!(told, Ok(Some(_))) { return },
                _ = beat.tick() => {
                    let heartbeat = Message::Heartbeat(v1::ProviderHeartbeat { pools: pools.clone() });
                    if sender.send(say(heartbeat)).await.is_err() { return }
                }
            }
        }
    });
    Ok(session)
}

fn rung() -> v1::Rung {
    let tariff = v1::Tariff {
        per_request: 200_000,
        per_gb_second: 16_666_700,
        per_cpu_ms: 0,
        per_gb_egress: 0,
        increment_ms: 1,
        minimum_ms: 1,
        memory_step_mb: 1,
        bills_cold_start: false,
    };
    v1::Rung {
        id: 1,
        pool: 0,
        capacity_mb: 1 << 20,
        tariff: Some(tariff),
        vcpus_milli: 1000,
        memory_min_mb: 1,
        memory_max_mb: 10_240,
        longest_ms: 900_000,
        enforces_timeout: true,
        ..v1::Rung::default()
    }
}
