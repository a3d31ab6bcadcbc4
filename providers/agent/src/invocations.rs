//! The way of an invocation: token, payload, thread, module, run, report. Owns which leases were used, and tells the
//! session which ran; never learns what a call costs.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use merit_adapters::agent::{self, INVOCATION_ID, OUTPUT_MAX_BYTES, PAYLOAD_MAX_BYTES, PassedText};
use merit_adapters::{LOG_MAX_BYTES, Reading, Report};
use merit_proto::v1::LeaseProof;
use merit_terms::{LeaseId, Name, Outcome, Time, Usage};
use merit_wasm::{Digest, Execution, Failure, Host, Job, Seat};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::cgi;
use crate::code::{Code, RevisionKey, Revisions};
use crate::delivery::{Delivery, Output};
use crate::refused::Refused;
use crate::session::{Credentials, Ran, Runs};
use crate::token::{self, Asked, Lease, UsedLeases};

/// How long a payload may take to arrive.
const PAYLOAD_WITHIN: Duration = Duration::from_secs(120);

/// What invocations of one provider share.
pub(crate) struct Invocations {
    provider: Name,
    credentials: watch::Receiver<Option<Credentials>>,
    used: Mutex<UsedLeases>,
    host: Host,
    revisions: Revisions,
    runs: Runs,
    draining: AtomicBool,
}

impl Invocations {
    pub(crate) fn new(
        provider: Name,
        credentials: watch::Receiver<Option<Credentials>>,
        host: Host,
        revisions: Revisions,
        runs: Runs,
    ) -> Invocations {
        let (used, draining) = (Mutex::default(), AtomicBool::new(false));
        Invocations { provider, credentials, used, host, revisions, runs, draining }
    }

    /// Takes no more calls from now on.
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

    async fn run(&self, path: (String, String, String), headers: &HeaderMap, body: Body) -> Result<Ended, Refused> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Refused::Draining);
        }
        let (account, function, revision) = path;
        let revision = revision.parse().map_err(|_| Refused::NoSuchPath)?;
        let asked = Asked { account: &account, function: &function, revision };
        let (token, proof) = agent::lease(headers).ok_or(Refused::NoToken)?;
        let lease = self.lease(asked, token)?;
        let key = RevisionKey { session: lease.claims.session, account, function, revision };
        let passed = agent::passed(headers)?;
        let payload = payload(headers, body).await?;
        let seat = self.host.admit().map_err(|_| Refused::Busy)?;
        self.used().mark(&lease, now())?;
        let limit = Duration::from_millis(lease.claims.timeout_ms.into());
        let code = self.code(&lease, key.clone(), limit).await?;
        // Dropped with this future, when the connection of the call goes.
        let (cancel, cancelled) = watch::channel(false);
        let waiting = CancelOnDrop(cancel);
        let environment = environment(&lease, &key, headers, passed.as_ref(), &code, payload.len());
        let job = job(&lease, key.function, environment, code, payload, limit, cancelled);
        let proof = merit_proto::read_proof(proof).ok();
        let ran = tokio::spawn(run(seat, job, lease.id, proof, self.runs.clone())).await;
        drop(waiting);
        let (execution, delivery) = ran.unwrap_or(Err(Failure::Lost)).map_err(|failure| {
            tracing::warn!(provider = %self.provider, lease = %lease.id, %failure, "a guest failed in the host");
            match failure {
                Failure::NotStarted(_) => Refused::NotStarted,
                Failure::Lost => Refused::Lost,
            }
        })?;
        Ok(Ended { execution, delivery, passed: passed.is_some() })
    }

    fn lease(&self, asked: Asked<'_>, token: &str) -> Result<Lease, Refused> {
        let session = (*self.credentials.borrow()).ok_or(Refused::NoSession)?;
        token::check(token, self.provider.as_str(), &session, asked, now())
    }

    async fn code(&self, lease: &Lease, key: RevisionKey, within: Duration) -> Result<Code, Refused> {
        let digest = Digest::try_from(lease.claims.module.as_slice()).map_err(|_| Refused::NoModule)?;
        let code = self.revisions.code(key, digest, within).await;
        code.map_err(|error| {
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

/// A call whose function has ended.
struct Ended {
    execution: Execution,
    delivery: Delivery,
    /// Whether it was passed through.
    passed: bool,
}

/// Stops the guest of a call that nobody waits for any more.
struct CancelOnDrop(watch::Sender<bool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

/// Runs to the end of the guest, and tells the session of it also when the caller has gone away: what ran until then is
/// to be paid.
async fn run(
    seat: Seat,
    job: Job,
    lease: LeaseId,
    proof: Option<LeaseProof>,
    runs: Runs,
) -> Result<(Execution, Delivery), Failure> {
    let execution = seat.run(job).await?;
    if let Some(proof) = proof {
        let usage = usage(&execution);
        // A session that is so far behind claims less.
        drop(runs.try_send(Ran::Finished { lease, usage, proof }));
    }
    Ok((execution, Delivery::of(lease, runs)))
}

async fn payload(headers: &HeaderMap, body: Body) -> Result<Bytes, Refused> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > PAYLOAD_MAX_BYTES) {
        return Err(Refused::PayloadTooLarge);
    }
    let collected = timeout(PAYLOAD_WITHIN, Limited::new(body, PAYLOAD_MAX_BYTES).collect()).await;
    match collected.map_err(|_| Refused::PayloadCut)? {
        Ok(payload) => Ok(payload.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refused::PayloadTooLarge),
        Err(_) => Err(Refused::PayloadCut),
    }
}

/// The whole environment of a guest: the function's own, under what Merit says and, of a call that is passed through, what
/// CGI has.
fn environment(
    lease: &Lease,
    key: &RevisionKey,
    headers: &HeaderMap,
    passed: Option<&PassedText<'_>>,
    code: &Code,
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
    let functions = code.environment.iter().filter(|(name, _)| !taken.contains(name.as_str()));
    let functions: Vec<_> = functions.cloned().collect();
    functions.into_iter().chain(own).collect()
}

fn job(
    lease: &Lease,
    function: String,
    environment: Vec<(String, String)>,
    code: Code,
    payload: Bytes,
    timeout: Duration,
    cancelled: watch::Receiver<bool>,
) -> Job {
    Job {
        module: code.module,
        payload,
        environment,
        arguments: vec![function],
        memory_mb: lease.claims.memory_mb,
        timeout,
        waited: code.waited,
        output_limit_bytes: OUTPUT_MAX_BYTES,
        cancelled,
        log_limit_bytes: LOG_MAX_BYTES,
    }
}

/// The function's output, and what is said of the execution in the headers.
fn answer(Ended { execution, delivery, passed }: Ended) -> Response {
    let usage = usage(&execution);
    let (outcome, message) = match execution.outcome {
        merit_wasm::Outcome::Ok => (Outcome::Ok, None),
        merit_wasm::Outcome::Exit(code) => (Outcome::Exit, Some(format!("exited with code {code}"))),
        merit_wasm::Outcome::Trap(message) => (Outcome::Trap, Some(message)),
        merit_wasm::Outcome::OutOfMemory => (Outcome::OutOfMemory, None),
        merit_wasm::Outcome::Timeout => (Outcome::Timeout, None),
        merit_wasm::Outcome::Cancelled => (Outcome::Timeout, Some("nobody waited for it any more".to_owned())),
        merit_wasm::Outcome::OutputLimit => (Outcome::OutputLimit, None),
    };
    let peak_memory_mb = u32::try_from(execution.usage.peak_memory_bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
    let reading = Reading { usage, peak_memory_mb };
    let report = Report { outcome, reading: Some(reading), message, log: execution.log.to_vec() };
    let document = if passed { cgi::document(&execution.output) } else { None };
    let mut response = match document {
        Some(cgi::Document { status, headers, body }) => {
            let mut response = Body::new(Output::new(body, delivery)).into_response();
            *response.headers_mut() = headers;
            agent::write_status(response.headers_mut(), status);
            response
        }
        None => {
            let mut response = Body::new(Output::new(execution.output, delivery)).into_response();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            response
        }
    };
    report.write(response.headers_mut());
    response
}

fn usage(execution: &Execution) -> Usage {
    let merit_wasm::Usage { wall_us, cpu_us, cold_us, .. } = execution.usage;
    Usage { wall_us, cpu_us, cold_us, egress_bytes: 0 }
}

/// The time by this machine's clock.
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
