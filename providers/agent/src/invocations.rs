//! The steps of an invocation: token, payload, thread, module, run, report. Owns the set of used leases, and tells the
//! session of runs. Never learns the cost of a call.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use merit_adapters::agent::{self, OUTPUT_MAX_BYTES, PAYLOAD_MAX_BYTES, PassedText};
use merit_adapters::{INVOCATION_ID, MeterReading, Report};
use merit_proto::v1::LeaseProof;
use merit_proto::v1::read_permit::Permit;
use merit_terms::{LOG_MAX_BYTES, LeaseId, Name, Outcome, Usage};
use merit_wasm::{Digest, GuestOutcome, GuestRun, GuestUsage, Host, HostFailure, Job, Seat};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cgi;
use crate::delivery::{AnswerBody, Delivery};
use crate::refused::Refused;
use crate::revisions::{ReadyRevision, RevisionKey, Revisions, WantedRevision};
use crate::session::{RunEvent, RunEvents, Trusted};
use crate::token::{self, InvocationPath, ProvenLease, UsedLeases};

/// Timeout of a payload's arrival.
const PAYLOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// The parts that all invocations of one provider share.
pub(crate) struct Invocations {
    provider: Name,
    trusted: watch::Receiver<Option<Trusted>>,
    used: Mutex<UsedLeases>,
    host: Host,
    revisions: Revisions,
    runs: RunEvents,
    draining: AtomicBool,
}

impl Invocations {
    pub(crate) fn new(
        provider: Name,
        trusted: watch::Receiver<Option<Trusted>>,
        host: Host,
        revisions: Revisions,
        runs: RunEvents,
    ) -> Invocations {
        let (used, draining) = (Mutex::default(), AtomicBool::new(false));
        Invocations { provider, trusted, used, host, revisions, runs, draining }
    }

    /// Starts the drain: refuses further calls.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn router(self: Arc<Invocations>) -> Router {
        Router::new()
            .route("/invoke/{account}/{function}/{revision}", post(invoke))
            .fallback(|| async { Refused::NoSuchPath })
            .method_not_allowed_fallback(|| async { Refused::NoSuchPath })
            .with_state(self)
    }

    async fn run(
        &self,
        path: (String, String, String),
        headers: &HeaderMap,
        body: Body,
    ) -> Result<FinishedCall, Refused> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Refused::Draining);
        }
        let (account, function, revision) = path;
        let revision = revision.parse().map_err(|_| Refused::NoSuchPath)?;
        let asked = InvocationPath { account: &account, function: &function, revision };
        let (token, proof) = agent::lease(headers).ok_or(Refused::NoToken)?;
        // Leases outlive a lost stream, so this holds until the next welcome.
        let trusted = (*self.trusted.borrow()).ok_or(Refused::NoSession)?;
        let lease = token::check(token, self.provider.as_str(), &trusted.credentials, asked, trusted.now())?;
        let key = RevisionKey { session: lease.claims.session, account, function, revision };
        let passed = agent::passed(headers)?;
        let payload = payload(headers, body).await?;
        let seat = self.host.admit().map_err(|_| Refused::Busy)?;
        self.used().mark(&lease, trusted.now())?;
        let proof = merit_proto::read_proof(proof).ok();
        let unless_dropped = ClaimNothingOnDrop { lease: lease.id, proof: proof.clone(), runs: self.runs.clone() };
        let limit = Duration::from_millis(lease.claims.timeout_ms.into());
        let ready = self.ready(&lease, key.clone(), proof.clone(), limit).await;
        unless_dropped.disarm();
        let ready = ready?;
        // Dropped with this future, when the connection of the call closes.
        let (cancel, cancelled) = watch::channel(false);
        let waiting = CancelOnDrop(cancel);
        let environment = environment(&lease, &key, headers, passed.as_ref(), &ready, payload.len());
        let job = job(&lease, key.function, environment, ready, payload, limit, cancelled);
        let ran = tokio::spawn(run(seat, job, lease.id, proof, self.runs.clone())).await;
        drop(waiting);
        let (execution, delivery) = ran.unwrap_or(Err(HostFailure::Lost)).map_err(|failure| {
            tracing::warn!(provider = %self.provider, lease = %lease.id, %failure, "a guest failed in the host");
            match failure {
                HostFailure::NotStarted(_) => Refused::NotStarted,
                HostFailure::Lost => Refused::Lost,
            }
        })?;
        Ok(FinishedCall { execution, delivery, passed: passed.is_some() })
    }

    async fn ready(
        &self,
        lease: &ProvenLease,
        key: RevisionKey,
        proof: Option<LeaseProof>,
        limit: Duration,
    ) -> Result<ReadyRevision, Refused> {
        let digest = Digest::try_from(lease.claims.module.as_slice()).map_err(|_| Refused::NoModule)?;
        let wanted = WantedRevision { key, digest, permit: proof.map(Permit::Lease) };
        let ready = self.revisions.ready(wanted, limit).await;
        ready.map_err(|error| {
            tracing::warn!(provider = %self.provider, lease = %lease.id, %error, "a module is not ready");
            error.into()
        })
    }

    fn used(&self) -> MutexGuard<'_, UsedLeases> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn invoke(
    State(invocations): State<Arc<Invocations>>,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match invocations.run(path, &headers, body).await {
        Ok(ended) => answer(ended),
        Err(refused) => {
            tracing::debug!(provider = %invocations.provider, code = refused.code(), "an invocation was refused");
            refused.into_response()
        }
    }
}

/// A call with a finished function.
struct FinishedCall {
    execution: GuestRun,
    delivery: Delivery,
    /// True for a call that is passed through.
    passed: bool,
}

/// A call that waits for its module. If its caller leaves, it claims zero usage, which frees the lease's slot before
/// its timeout.
struct ClaimNothingOnDrop {
    lease: LeaseId,
    proof: Option<LeaseProof>,
    runs: RunEvents,
}

impl ClaimNothingOnDrop {
    /// The wait is over: the call runs, or its caller is told why not.
    fn disarm(mut self) {
        self.proof = None;
    }
}

impl Drop for ClaimNothingOnDrop {
    fn drop(&mut self) {
        if let Some(proof) = self.proof.take() {
            let (lease, usage) = (self.lease, Usage::default());
            // If the queue is full, nothing is claimed and the lease ends at its deadline.
            drop(self.runs.try_send(RunEvent::Finished { lease, usage, proof }));
            drop(self.runs.try_send(RunEvent::Undelivered(lease)));
        }
    }
}

/// Stops the guest when its caller is gone.
struct CancelOnDrop(watch::Sender<bool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Runs the guest to its end and tells the session of it, also after the caller is gone: the run is to be paid.
async fn run(
    seat: Seat,
    job: Job,
    lease: LeaseId,
    proof: Option<LeaseProof>,
    runs: RunEvents,
) -> Result<(GuestRun, Delivery), HostFailure> {
    let execution = seat.run(job).await?;
    if let Some(proof) = proof {
        let usage = usage(&execution);
        // A full queue means that the session lags behind; it then claims less.
        drop(runs.try_send(RunEvent::Finished { lease, usage, proof }));
    }
    Ok((execution, Delivery::of(lease, runs)))
}

async fn payload(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > PAYLOAD_MAX_BYTES) {
        return Err(Refused::PayloadTooLarge);
    }
    let collected = timeout(PAYLOAD_TIMEOUT, Limited::new(body, PAYLOAD_MAX_BYTES).collect()).await;
    match collected.map_err(|_| Refused::PayloadCut)? {
        Ok(payload) => Ok(payload.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refused::PayloadTooLarge),
        Err(_) => Err(Refused::PayloadCut),
    }
}

/// Returns the environment of a guest: the function's own, overridden by Merit's variables and, in a call that is
/// passed through, by those of CGI.
fn environment(
    lease: &ProvenLease,
    key: &RevisionKey,
    headers: &HeaderMap,
    passed: Option<&PassedText<'_>>,
    ready: &ReadyRevision,
    payload_bytes: usize,
) -> Vec<(String, String)> {
    let stated = headers.get(INVOCATION_ID).and_then(|id| id.to_str().ok()?.parse::<LeaseId>().ok());
    let named = |name: &str, value| (name.to_owned(), value);
    let mut own = vec![
        named("MERIT_INVOCATION_ID", stated.unwrap_or(lease.id).to_string()),
        named("MERIT_FUNCTION", key.function.clone()),
        named("MERIT_REVISION", key.revision.to_string()),
    ];
    own.extend(passed.into_iter().flat_map(|passed| cgi::variables(passed, &key.function, headers, payload_bytes)));
    let taken: HashSet<&str> = own.iter().map(|(name, _)| name.as_str()).collect();
    let functions = ready.environment.iter().filter(|(name, _)| !taken.contains(name.as_str()));
    let functions: Vec<_> = functions.cloned().collect();
    functions.into_iter().chain(own).collect()
}

fn job(
    lease: &ProvenLease,
    function: String,
    environment: Vec<(String, String)>,
    ready: ReadyRevision,
    payload: Bytes,
    timeout: Duration,
    cancelled: watch::Receiver<bool>,
) -> Job {
    Job {
        module: ready.module,
        payload,
        environment,
        arguments: vec![function],
        memory_mb: lease.claims.memory_mb,
        timeout,
        waited: ready.waited,
        output_limit_bytes: OUTPUT_MAX_BYTES,
        cancelled,
        log_limit_bytes: LOG_MAX_BYTES,
    }
}

/// Makes the answer: the function's output, with the report of its execution in the headers.
fn answer(FinishedCall { execution, delivery, passed }: FinishedCall) -> Response {
    let usage = usage(&execution);
    let (outcome, message) = match execution.outcome {
        GuestOutcome::Ok => (Outcome::Ok, None),
        GuestOutcome::Exit(code) => (Outcome::Exit, Some(format!("exited with code {code}"))),
        GuestOutcome::Trap(message) => (Outcome::Trap, Some(message)),
        GuestOutcome::OutOfMemory => (Outcome::OutOfMemory, None),
        GuestOutcome::Timeout => (Outcome::Timeout, None),
        GuestOutcome::Cancelled => (Outcome::Timeout, Some("cancelled: the caller has gone away".to_owned())),
        GuestOutcome::OutputLimit => (Outcome::OutputLimit, None),
    };
    let peak_memory_mb = u32::try_from(execution.usage.peak_memory_bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
    let reading = MeterReading { usage, peak_memory_mb };
    let report = Report { outcome, reading: Some(reading), message, log: execution.log.to_vec() };
    let document = if passed { cgi::document(&execution.output) } else { None };
    let mut response = match document {
        Some(cgi::Document { status, headers, body }) => {
            let mut response = Body::new(AnswerBody::new(body, delivery)).into_response();
            *response.headers_mut() = headers;
            agent::write_status(response.headers_mut(), status);
            response
        }
        None => {
            let mut response = Body::new(AnswerBody::new(execution.output, delivery)).into_response();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            response
        }
    };
    report.write(response.headers_mut());
    response
}

fn usage(execution: &GuestRun) -> Usage {
    let GuestUsage { wall_us, cpu_us, cold_us, .. } = execution.usage;
    Usage { wall_us, cpu_us, cold_us, egress_bytes: 0 }
}
