//! Merit as it is measured: `merit up` with an empty data directory, one provider's session, one function.
//!
//! The provider is the bench's own backend, so that nothing but Merit stands between it and the load.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use merit_proto::v1::exchange_message::Message as Told;
use merit_proto::v1::operator_client::OperatorClient;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message;
use merit_proto::{Transport, v1};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::invoke_bench::SetupError;
use crate::invoke_bench::child::{Cores, Measured};

const MARKET: &str = "bench/wasm";
/// Where calls of the function are posted.
pub(crate) const PATH: &str = "/v1/functions/bench/invocations";
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Any module will do: the backend runs none. The shortest that may be deployed: a `_start` that does nothing.
const MODULE: &[u8] = &[
    0, b'a', b's', b'm', 1, 0, 0, 0, // magic, version
    1, 4, 1, 0x60, 0, 0, // one type: no parameters, no results
    3, 2, 1, 0, // one function of it
    5, 3, 1, 0, 1, // one memory of a page
    7, 19, 2, 6, b'_', b's', b't', b'a', b'r', b't', 0, 0, // exports: _start
    6, b'm', b'e', b'm', b'o', b'r', b'y', 2, 0, // and memory
    10, 4, 1, 2, 0, 0x0b, // its body: end
];
const DEFINITION: &str =
    r#"{"memory_mb":128,"timeout_ms":3000,"providers":"any","markets":["bench/wasm"],"idempotent":true}"#;

/// Merit, ready for calls.
pub(crate) struct Merit {
    pub(crate) measured: Measured,
    pub(crate) http: SocketAddr,
    /// Its standard output stays open, as a terminal would.
    _output: Lines<BufReader<ChildStdout>>,
    /// The provider's session, which ends with it.
    _session: JoinSet<()>,
}

impl Merit {
    pub(crate) async fn start(
        program: &Path,
        backend: SocketAddr,
        cores: Option<Cores>,
        directory: &Path,
    ) -> Result<Merit, SetupError> {
        let log = directory.join("merit.log");
        let mut command = Command::new(program);
        command.args(["up", "--no-demo", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"]);
        command.arg(directory.join("data"));
        let mut measured = Measured::start(command, cores, &log)?;
        let silent = || SetupError::Silent {
            program: program.display().to_string(),
            seconds: READY_WITHIN.as_secs(),
            said: std::fs::read_to_string(&log).unwrap_or_default(),
        };
        let mut output = BufReader::new(measured.child.stdout.take().ok_or_else(silent)?).lines();
        let line = tokio::time::timeout(READY_WITHIN, output.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten().ok_or_else(silent)?;
        let (http, grpc) = parse_ready(&line).ok_or_else(silent)?;
        let exchange = Transport::network(&grpc)?;
        create_market(exchange.clone()).await?;
        let session = sell(exchange, backend).await?;
        put(http, "/v1/functions/bench/module", Bytes::from_static(MODULE)).await?;
        put(http, "/v1/functions/bench", Bytes::from_static(DEFINITION.as_bytes())).await?;
        Ok(Merit { measured, http, _output: output, _session: session })
    }
}

/// `ready http://ADDRESS grpc://ADDRESS`.
fn parse_ready(line: &str) -> Option<(SocketAddr, String)> {
    let (http, grpc) = line.strip_prefix("ready http://")?.split_once(" grpc://")?;
    Some((http.parse().ok()?, format!("http://{}", grpc.trim())))
}

async fn create_market(exchange: Transport) -> Result<(), SetupError> {
    let request = v1::CreateMarketRequest { name: MARKET.to_owned() };
    OperatorClient::new(exchange).create_market(request).await.map_err(Box::new)?;
    Ok(())
}

/// Logs the backend on as a provider and posts its offer; returns once the offer rests.
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

/// One PUT that must succeed.
async fn put(server: SocketAddr, path: &str, body: Bytes) -> Result<(), SetupError> {
    let what = format!("PUT {path}");
    let failed = |source| SetupError::Http { what: what.clone(), source };
    let asked = async {
        let (mut sender, connection) = handshake(TokioIo::new(TcpStream::connect(server).await?)).await?;
        tokio::spawn(connection);
        let request = Request::builder().method(Method::PUT).uri(path).header(header::HOST, server.to_string());
        let (head, body) = sender.send_request(request.body(Full::new(body))?).await?.into_parts();
        Ok::<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>((
            head.status,
            body.collect().await?.to_bytes(),
        ))
    };
    let (status, body) = asked.await.map_err(failed)?;
    if status.is_success() {
        return Ok(());
    }
    Err(SetupError::Answer { what, status, body: String::from_utf8_lossy(&body).into_owned() })
}
