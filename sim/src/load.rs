//! A closed loop of HTTP/1.1 requests: each of N kept-alive connections sends its next request when its last one is
//! answered.
//!
//! Counts every request that was sent. A connection that breaks is counted and opened again, so that a load outlives
//! the server it is put on. Never retries a request.

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

/// What is sent, where, and for how long.
#[derive(Clone, Debug)]
pub struct Load {
    pub server: SocketAddr,
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
    /// The payload of every request, which is a POST.
    pub payload: Bytes,
    pub connections: usize,
    /// No request starts after it; those that run are waited for.
    pub duration: Duration,
    /// No more requests than this.
    pub requests_max: Option<u64>,
    /// Whether the receipt of each answered invocation is kept.
    pub keeps_receipts: bool,
}

/// What a broker says of an invocation it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub invocation: LeaseId,
    pub cost: Money,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Answered with a status of 200 to 299.
    pub answered: u64,
    /// Answered with another status.
    pub errors: BTreeMap<StatusCode, u64>,
    /// Sent and never answered: the connection broke, or nothing came within [`ANSWER_WITHIN`].
    pub broken: u64,
    /// Connections that could not be opened.
    pub unconnected: u64,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Of answered requests, in microseconds: from the first byte sent to the last read.
    pub latency_us: Histogram<u64>,
    pub receipts: Vec<Receipt>,
}

/// Why a load fails as a whole.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the path of the load is none")]
    Request(#[from] http::Error),
    #[error("the latencies cannot be kept")]
    Histogram(#[from] hdrhistogram::CreationError),
    #[error("a connection's task ended early")]
    Task(#[from] JoinError),
}

/// How long a request waits for its answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a connection may take to open, and how long the next try waits after one that failed.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const RECONNECT_AFTER: Duration = Duration::from_millis(20);

type Body = Full<Bytes>;

/// Runs a load to its end, on the caller's runtime.
pub async fn run(load: Load) -> Result<Outcome, LoadError> {
    drop(request(&load)?);
    let mut total = Outcome::empty()?;
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
    /// Requests that may still be sent.
    left: AtomicU64,
}

impl Shared {
    fn take_one(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// One connection's loop.
async fn drive(shared: Arc<Shared>, ends: Instant) -> Result<Outcome, LoadError> {
    let mut outcome = Outcome::empty()?;
    let mut connection = None;
    while Instant::now() < ends {
        let Some(mut sender) = connection.take() else {
            connection = connect(shared.load.server).await;
            if connection.is_none() {
                outcome.unconnected += 1;
                tokio::time::sleep(RECONNECT_AFTER).await;
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

/// A connection ready for its first request; its task ends with its sender.
async fn connect(server: SocketAddr) -> Option<SendRequest<Body>> {
    let opening = async {
        let stream = TcpStream::connect(server).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        sender.ready().await.ok()?;
        Some(sender)
    };
    tokio::time::timeout(CONNECT_WITHIN, opening).await.ok()?
}

/// Sends one request and counts its answer; whether the connection takes another.
async fn exchange(load: &Load, sender: &mut SendRequest<Body>, outcome: &mut Outcome) -> Result<bool, LoadError> {
    let request = request(load)?;
    let started = Instant::now();
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        body.collect().await?;
        let took = started.elapsed();
        Ok::<_, hyper::Error>((head, took))
    };
    match tokio::time::timeout(ANSWER_WITHIN, answered).await {
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
    /// None where the answer is not one of a broker.
    fn read(headers: &HeaderMap) -> Option<Receipt> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        Some(Receipt {
            invocation: text("merit-invocation-id")?.parse().ok()?,
            cost: text("merit-cost")?.parse().ok()?,
        })
    }
}

impl Outcome {
    fn empty() -> Result<Outcome, hdrhistogram::CreationError> {
        Ok(Outcome {
            answered: 0,
            errors: BTreeMap::new(),
            broken: 0,
            unconnected: 0,
            took: Duration::ZERO,
            latency_us: Histogram::new_with_max(ANSWER_WITHIN.as_micros() as u64, 3)?,
            receipts: Vec::new(),
        })
    }

    fn add(&mut self, other: Outcome) {
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

    /// The latency in microseconds that `share` (0 to 1) of the answered requests did not exceed.
    pub fn percentile_us(&self, share: f64) -> u64 {
        self.latency_us.value_at_quantile(share)
    }
}
