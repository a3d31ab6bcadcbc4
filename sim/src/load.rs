//! A closed loop of HTTP/1.1 requests: each of N kept-alive connections sends its next request after the answer to its
//! last one.
//!
//! Counts every sent request. A broken connection is counted and opened again, so that a load outlives its server.
//! Never retries a request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use merit_terms::{LeaseId, Money};
use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};

/// The requests of a load, their server and their number.
#[derive(Clone, Debug)]
pub struct Load {
    pub server: SocketAddr,
    /// Path with its query.
    pub path: String,
    pub headers: HeaderMap,
    /// Payload of every request, which is a POST.
    pub payload: Bytes,
    pub connections: usize,
    /// Time after which no request starts; running ones are waited for.
    pub duration: Duration,
    /// Maximum number of requests.
    pub requests_max: Option<u64>,
    /// Keeps the receipt of each answered invocation.
    pub keeps_receipts: bool,
}

/// A broker's receipt of an answered invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub invocation: LeaseId,
    pub cost: Money,
}

/// The counts of a load.
#[derive(Clone, Debug)]
pub struct LoadOutcome {
    /// Requests answered with a status of 200 to 299.
    pub answered: u64,
    /// Requests answered with another status.
    pub errors: BTreeMap<StatusCode, u64>,
    /// Requests without an answer: the connection broke, or [`ANSWER_TIMEOUT`] passed.
    pub broken: u64,
    /// Connections that could not be opened.
    pub unconnected: u64,
    /// Time from the first request to the last answer.
    pub took: Duration,
    /// Latencies of answered requests in microseconds, from the first byte sent to the last byte read.
    pub latency_us: Histogram<u64>,
    pub receipts: Vec<Receipt>,
}

/// A failure of a whole load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the path of the load is malformed")]
    Request(#[from] http::Error),
    #[error("the latencies cannot be recorded")]
    Histogram(#[from] hdrhistogram::CreationError),
    #[error("a connection's task ended early")]
    Task(#[from] JoinError),
}

/// Timeout of an answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Back-off after a connection that could not be opened.
const CONNECT_BACKOFF: Duration = Duration::from_millis(20);

type Body = Full<Bytes>;

/// Runs a load to its end, on the caller's runtime.
pub async fn run(load: Load) -> Result<LoadOutcome, LoadError> {
    drop(request(&load)?);
    let mut total = LoadOutcome::empty()?;
    let shared = Arc::new(Shared { left: AtomicU64::new(load.requests_max.unwrap_or(u64::MAX)), load });
    let started = Instant::now();
    let mut connections = JoinSet::new();
    for _ in 0..shared.load.connections {
        connections.spawn(drive(shared.clone(), started + shared.load.duration));
    }
    while let Some(outcome) = connections.join_next().await {
        total.add(outcome??);
    }
    total.took = started.elapsed();
    Ok(total)
}

struct Shared {
    load: Load,
    /// Number of requests that may still be sent.
    left: AtomicU64,
}

impl Shared {
    fn take_one(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// Runs the loop of one connection.
async fn drive(shared: Arc<Shared>, ends: Instant) -> Result<LoadOutcome, LoadError> {
    let mut outcome = LoadOutcome::empty()?;
    let mut connection = None;
    while Instant::now() < ends {
        let Some(mut sender) = connection.take() else {
            connection = connect(shared.load.server).await;
            if connection.is_none() {
                outcome.unconnected += 1;
                tokio::time::sleep(CONNECT_BACKOFF).await;
            }
            continue;
        };
        if !shared.take_one() {
            break;
        }
        if exchange(&shared.load, &mut sender, &mut outcome).await? {
            connection = Some(sender);
        }
    }
    Ok(outcome)
}

/// Opens a connection, whose task ends with its sender.
async fn connect(server: SocketAddr) -> Option<SendRequest<Body>> {
    let opening = async {
        let stream = TcpStream::connect(server).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        sender.ready().await.ok()?;
        Some(sender)
    };
    tokio::time::timeout(CONNECT_TIMEOUT, opening).await.ok()?
}

/// Sends one request and counts its answer. Returns true if the connection takes another.
async fn exchange(load: &Load, sender: &mut SendRequest<Body>, outcome: &mut LoadOutcome) -> Result<bool, LoadError> {
    let request = request(load)?;
    let started = Instant::now();
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        body.collect().await?;
        let took = started.elapsed();
        Ok::<_, hyper::Error>((head, took))
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
        Ok(Ok((head, took))) if head.status.is_success() => {
            outcome.answered += 1;
            outcome.latency_us.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            if load.keeps_receipts {
                outcome.receipts.extend(Receipt::read(&head.headers));
            }
        }
        Ok(Ok((head, _))) => *outcome.errors.entry(head.status).or_default() += 1,
        Ok(Err(_)) | Err(_) => {
            outcome.broken += 1;
            return Ok(false);
        }
    }
    Ok(sender.ready().await.is_ok())
}

fn request(load: &Load) -> Result<Request<Body>, http::Error> {
    let mut request = Request::post(&load.path).header(header::HOST, load.server.to_string());
    if let Some(headers) = request.headers_mut() {
        headers.extend(load.headers.clone());
    }
    request.body(Full::new(load.payload.clone()))
}

impl Receipt {
    /// Reads the receipt of an answer. Returns `None` if it is not a broker's.
    fn read(headers: &HeaderMap) -> Option<Receipt> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        Some(Receipt {
            invocation: text("merit-invocation-id")?.parse().ok()?,
            cost: text("merit-cost")?.parse().ok()?,
        })
    }
}

impl LoadOutcome {
    fn empty() -> Result<LoadOutcome, hdrhistogram::CreationError> {
        Ok(LoadOutcome {
            answered: 0,
            errors: BTreeMap::new(),
            broken: 0,
            unconnected: 0,
            took: Duration::ZERO,
            latency_us: Histogram::new_with_max(ANSWER_TIMEOUT.as_micros() as u64, 3)?,
            receipts: Vec::new(),
        })
    }

    fn add(&mut self, other: LoadOutcome) {
        self.answered += other.answered;
        for (status, count) in other.errors {
            *self.errors.entry(status).or_default() += count;
        }
        self.broken += other.broken;
        self.unconnected += other.unconnected;
        for value in other.latency_us.iter_recorded() {
            self.latency_us.saturating_record_n(value.value_iterated_to(), value.count_since_last_iteration());
        }
        self.receipts.extend(other.receipts);
    }

    pub fn requests_per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Returns the latency in microseconds that `share` (0 to 1) of the answered requests did not exceed.
    pub fn percentile_us(&self, share: f64) -> u64 {
        self.latency_us.value_at_quantile(share)
    }
}
