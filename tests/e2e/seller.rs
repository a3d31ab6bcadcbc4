//! A provider made of a raw session and a real HTTP server: it sends any quote, and counts the running calls.
//!
//! It does what `merit provider` never does: quoting again, ladders over several markets, quotes that are refused.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::HeaderMap;
use merit_adapters::{MeterReading, Report, agent};
use merit_proto::v1;
use merit_proto::v1::exchange_message::Message as Heard;
use merit_proto::v1::provider_gateway_client::ProviderGatewayClient;
use merit_proto::v1::provider_message::Message as Said;
use merit_terms::{Outcome, Price, Rung, Tariff, Usage};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use crate::market::Market;
use crate::process::PATIENCE;

pub(crate) struct Seller {
    says: mpsc::Sender<v1::ProviderMessage>,
    heard: mpsc::UnboundedReceiver<Heard>,
    last_number: u64,
    floor: Arc<Floor>,
    /// Server, heartbeat and reader; they end with the seller.
    _tasks: JoinSet<()>,
}

/// State of the server.
struct Floor {
    key: watch::Sender<[u8; 32]>,
    is_open: watch::Sender<bool>,
    load: Mutex<Load>,
}

/// Numbers of running calls, and their maxima.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) running: u32,
    pub(crate) running_mb: u32,
    pub(crate) most_running: u32,
    pub(crate) most_running_mb: u32,
    /// Number of invocations begun.
    pub(crate) begun: u32,
}

impl Seller {
    /// Logs on a provider of one pool.
    pub(crate) async fn start(market: &Market, name: &str, memory_mb: u64, slots: u32) -> Seller {
        let floor = Arc::new(Floor {
            key: watch::Sender::new([0; 32]),
            is_open: watch::Sender::new(false),
            load: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/invoke/{account}/{function}/{revision}", post(run));
        let router = router.with_state(floor.clone());
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });

        let (says, said) = mpsc::channel(64);
        let pools = vec![v1::PoolSize { memory_mb, slots }];
        let logon = v1::Logon { provider: name.to_owned(), pools: pools.clone(), endpoint, ..v1::Logon::default() };
        says.send(v1::ProviderMessage { message: Some(Said::Logon(logon)) }).await.unwrap();
        let mut client = ProviderGatewayClient::connect(market.grpc.clone()).await.unwrap();
        let mut hears = client.session(ReceiverStream::new(said)).await.unwrap().into_inner();
        let (tell, heard) = mpsc::unbounded_channel();
        tasks.spawn(async move {
            while let Ok(Some(v1::ExchangeMessage { message: Some(message), .. })) = hears.message().await {
                if tell.send(message).is_err() {
                    break;
                }
            }
        });
        let beats = says.clone();
        tasks.spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(500));
            loop {
                beat.tick().await;
                let heartbeat = Said::Heartbeat(v1::ProviderHeartbeat { pools: pools.clone() });
                if beats.send(v1::ProviderMessage { message: Some(heartbeat) }).await.is_err() {
                    break;
                }
            }
        });
        let mut seller = Seller { says, heard, last_number: 0, floor, _tasks: tasks };
        let key =
            seller.hear(|heard| if let Heard::Welcome(welcome) = heard { Some(welcome.session_key) } else { None });
        let key = key.await.try_into().unwrap();
        seller.floor.key.send_replace(key);
        seller
    }

    /// Replaces the ladder of a market; panics if it is refused.
    pub(crate) async fn quote(&mut self, market: &str, rungs: Vec<v1::Rung>) {
        self.try_quote(market, rungs).await.unwrap_or_else(|refused| panic!("{refused:?}"));
    }

    pub(crate) async fn try_quote(&mut self, market: &str, rungs: Vec<v1::Rung>) -> Result<(), v1::QuoteRefused> {
        self.try_quote_as(self.last_number + 1, market, rungs).await
    }

    /// Replaces it under a number of the caller's.
    pub(crate) async fn try_quote_as(
        &mut self,
        number: u64,
        market: &str,
        rungs: Vec<v1::Rung>,
    ) -> Result<(), v1::QuoteRefused> {
        self.last_number = self.last_number.max(number);
        let quote = Said::Quote(v1::QuoteLadder { market: market.to_owned(), number, rungs });
        self.says.send(v1::ProviderMessage { message: Some(quote) }).await.unwrap();
        self.hear(|heard| match heard {
            Heard::QuoteAccepted(accepted) if accepted.number == number => Some(Ok(())),
            Heard::QuoteRefused(refused) if refused.number == number => Some(Err(refused)),
            _ => None,
        })
        .await
    }

    /// Returns the next message that `wanted` takes; those before it are dropped.
    async fn hear<T>(&mut self, mut wanted: impl FnMut(Heard) -> Option<T>) -> T {
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.heard.recv()).await.unwrap();
            if let Some(found) = wanted(heard.expect("the session ended")) {
                return found;
            }
        }
    }

    /// Lets the invocations with the payload `held` end, now and from now on.
    pub(crate) fn open(&self) {
        self.floor.is_open.send_replace(true);
    }

    pub(crate) fn load(&self) -> Load {
        *self.floor.load.lock().unwrap()
    }
}

/// Returns a rung of one pool for functions of any size, at `per_request` picodollars a call.
pub(crate) fn rung(id: u32, capacity_mb: u64, per_request: u64) -> v1::Rung {
    let per_request = Price::from_picodollars(per_request);
    let tariff = Tariff { per_request, minimum_ms: 1, ..merit_kit::tariff(0) };
    v1::Rung::from(&Rung { capacity_mb, tariff, memory_max_mb: 1024, ..merit_kit::rung(id, 0) })
}

/// Runs for the milliseconds of the payload, or, if that is `held`, until the seller is open.
async fn run(State(floor): State<Arc<Floor>>, headers: HeaderMap, payload: String) -> Response {
    let (token, _) = agent::lease(&headers).unwrap();
    let claims = merit_proto::verify(&floor.key.borrow(), token).unwrap();
    floor.enter(claims.memory_mb);
    let started = Instant::now();
    match payload.parse() {
        Ok(duration_ms) => tokio::time::sleep(Duration::from_millis(duration_ms)).await,
        Err(_) => drop(floor.is_open.subscribe().wait_for(|open| *open).await.unwrap()),
    }
    floor.leave(claims.memory_mb);
    let usage = Usage { wall_us: started.elapsed().as_micros() as u64, ..Usage::default() };
    let reading = Some(MeterReading { usage, peak_memory_mb: 1 });
    let report = Report { outcome: Outcome::Ok, reading, message: None, log: Vec::new() };
    let mut response = "done".into_response();
    report.write(response.headers_mut());
    response
}

impl Floor {
    fn enter(&self, memory_mb: u32) {
        let mut load = self.load.lock().unwrap();
        load.begun += 1;
        load.running += 1;
        load.running_mb += memory_mb;
        load.most_running = load.most_running.max(load.running);
        load.most_running_mb = load.most_running_mb.max(load.running_mb);
    }

    fn leave(&self, memory_mb: u32) {
        let mut load = self.load.lock().unwrap();
        load.running -= 1;
        load.running_mb -= memory_mb;
    }
}
