//! One attempt at a provider: sends the request, reads the answer or its beginning, and says what became of it.
//!
//! What cannot have arrived is *not sent*; what may have arrived and was not answered is *unknown*. Follows no redirect.
//! By https the handshake decides between HTTP/1.1 and HTTP/2, of which one connection carries many calls.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use merit_adapters::{Passed, ProviderAnswer, ProviderCall, http as plain};
use merit_proto::v1::{Grant, NotSent};
use merit_terms::{Outcome, Time};
use rustls::pki_types::CertificateDer;

use crate::invocation::dispatch::Input;
use crate::provider::addresses::{Connector, Policy, Trust, connector};
use crate::provider::payload::{Outgoing, Payload};

use super::answer::{Began, read};
pub(crate) use super::answer::{FunctionAnswer, Next, Streams, Wanted};
use super::http2::{SharedConnections, Unprocessed, unprocessed};

/// How long a provider may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// What an answer may take beyond the lease's timeout, which the provider enforces.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// How long an unused connection is kept: shorter than agents keep theirs.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long a connection of HTTP/2 with calls on it may say nothing before it is asked whether it lives, and then until it is
/// given up: one that is dead would take all calls with it.
const SILENT_MAX: Duration = Duration::from_secs(10);
const LIVES_WITHIN: Duration = Duration::from_secs(5);

/// How much of one answer may come over HTTP/2 before its caller reads.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// Of all answers of a connection together: never less than its streams may, so that a caller who does not read holds up no
/// other. The largest that there is (RFC 9113, section 6.9.1).
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

type Connections = Client<HttpsConnector<Connector>, Outgoing>;

/// Connections to providers, kept open and shared.
#[derive(Clone)]
pub(crate) struct Upstream {
    /// To endpoints that the operator vouches for; never used for others.
    trusted: Connections,
    others: Connections,
    shared: SharedConnections,
}

/// What is sent with every attempt.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) account: Arc<str>,
    pub(crate) function: String,
    /// The caller's headers that the function may see.
    pub(crate) headers: http::HeaderMap,
    /// The method, path and query of a call that is passed through.
    pub(crate) request: Option<PassedThrough>,
    pub(crate) payload: Payload,
    pub(crate) wanted: Wanted,
}

/// What the function sees of a request that is passed through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PassedThrough {
    pub(crate) method: http::Method,
    /// What came after the function's name, as it was sent: empty, or a path that begins with `/`.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// The host that was asked for.
    pub(crate) host: Option<String>,
    pub(crate) remote: Option<IpAddr>,
}

impl PassedThrough {
    fn borrowed(&self) -> Passed<'_> {
        Passed {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            host: self.host.as_deref(),
            remote: self.remote,
        }
    }
}

/// What came of an attempt.
pub(crate) enum Came {
    /// There is no answer.
    Nothing(Input),
    Whole(Input, Box<FunctionAnswer>),
    /// The beginning of an answer, and the rest as it comes.
    Streams(Box<Streams>),
}

impl Upstream {
    /// Connects by this policy, over TLS by the roots that the machine trusts and by `authorities`.
    pub(crate) fn new(policy: Policy, authorities: Vec<CertificateDer<'static>>) -> Result<Upstream, rustls::Error> {
        let (policy, tls) = (Arc::new(policy), super::tls::client(authorities)?);
        let connections = |trust| {
            let connector = connector(policy.clone(), trust, |http| {
                http.enforce_http(false);
                http.set_nodelay(true);
                http.set_connect_timeout(Some(CONNECT_WITHIN));
            });
            let connector = HttpsConnectorBuilder::new()
                .with_tls_config(tls.clone())
                .https_or_http()
                .enable_all_versions()
                .wrap_connector(connector);
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_MAX)
                .pool_max_idle_per_host(1024)
                .timer(TokioTimer::new())
                .http2_keep_alive_interval(SILENT_MAX)
                .http2_keep_alive_timeout(LIVES_WITHIN)
                .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
                .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .build(connector)
        };
        Ok(Upstream {
            trusted: connections(Trust::Operator),
            others: connections(Trust::Anybody),
            shared: SharedConnections::default(),
        })
    }

    /// Those for the call of a grant: what is said of an endpoint holds for no other place that a target names.
    fn connections(&self, grant: &Grant) -> &Connections {
        let is_vouched_for = grant.endpoint_trusted && plain::is_at_endpoint(&grant.target);
        if is_vouched_for { &self.trusted } else { &self.others }
    }

    /// Sends one attempt and waits for its answer or what begins it, at most `within` and at most the lease's timeout.
    /// Dropping it closes the connection, or the stream of HTTP/2, by which the provider is told that nobody waits.
    pub(crate) async fn send(&self, grant: &Grant, call: &Call, within: Option<Duration>) -> Came {
        let started = Instant::now();
        if within == Some(Duration::ZERO) {
            let reason = "the deadline has passed".to_owned();
            return Came::Nothing(Input::NotSent { why: NotSent::Withdrawn, reason });
        }
        let longest = Duration::from_millis(grant.timeout_ms.into()) + ANSWER_GRACE;
        let limit = within.map_or(longest, |within| within.min(longest));
        let until = Until { started, limit, is_lease_s: limit == longest };
        match tokio::time::timeout(limit, self.attempt(grant, call, until)).await {
            Ok(came) => came,
            Err(_) => {
                // An agent enforces the timeout; at a function server it is the function that hangs. The caller's deadline
                // says nothing about the provider, nor does a payload that is still on its way.
                let fault = until.is_lease_s && adapter(grant).enforces_timeout() && !call.payload.is_unfinished();
                let reason = format!("no answer within {} ms", limit.as_millis());
                Came::Nothing(Input::Unknown { fault, reason })
            }
        }
    }

    async fn attempt(&self, grant: &Grant, call: &Call, until: Until) -> Came {
        // What a caller or a function's owner asks of it is not the provider's failure.
        let withdrawn = |reason: String| Came::Nothing(Input::NotSent { why: NotSent::Withdrawn, reason });
        let is_own_place = plain::is_at_endpoint(&grant.target);
        let not_sent = |reason: String| match is_own_place {
            true => Came::Nothing(Input::NotSent { why: NotSent::Failed, reason }),
            false => withdrawn(reason),
        };
        let shaped = || request(grant, call, until.deadline());
        let (request, connections) = match shaped() {
            Ok(request) => (request, self.connections(grant)),
            Err(reason) => return withdrawn(reason),
        };
        let is_tls = request.uri().scheme() == Some(&Scheme::HTTPS);
        let server = request.uri().authority().filter(|_| is_tls).cloned();
        let place = match server.as_ref().map(|server| self.shared.begin(server)).transpose() {
            Ok(place) => place.flatten(),
            Err(_) => {
                let reason = "as many calls as one connection of HTTP/2 takes are under way there".to_owned();
                // That a place is full which a function's owner named says nothing about the provider.
                let why = if is_own_place { NotSent::Busy } else { NotSent::Withdrawn };
                return Came::Nothing(Input::NotSent { why, reason });
            }
        };
        let mut sent = connections.request(request).await;
        // A server that goes away took nothing of it; a new connection finds it, or another in its place.
        if sent.as_ref().is_err_and(|error| unprocessed(error) == Some(Unprocessed::GoesAway))
            && !call.payload.is_spent()
            && let Ok(request) = shaped()
        {
            sent = connections.request(request).await;
        }
        let response = match sent {
            Ok(response) => response,
            Err(error) if error.is_connect() => {
                return not_sent(format!("no connection to the provider: {}", cause(&error)));
            }
            // What the caller did wrong with its payload is not the provider's fault.
            Err(_) if call.payload.fault().is_some() => {
                let reason = "the payload could not be sent whole".to_owned();
                return Came::Nothing(Input::Unknown { fault: false, reason });
            }
            Err(error) if let Some(why) = unprocessed(&error) => {
                let reason = format!("the provider took nothing of it: {}", cause(&error));
                return match why {
                    Unprocessed::Refused if is_own_place => {
                        Came::Nothing(Input::NotSent { why: NotSent::Busy, reason })
                    }
                    Unprocessed::Refused | Unprocessed::GoesAway => not_sent(reason),
                };
            }
            Err(error) => {
                let reason = format!("the connection to the provider broke: {}", cause(&error));
                return Came::Nothing(Input::Unknown { fault: is_own_place, reason });
            }
        };
        if let Some(server) = &server {
            self.shared.learn(server, response.version());
        }
        let (head, body) = response.into_parts();
        match understand(grant, &head) {
            ProviderAnswer::NotSent { busy: true, reason } => {
                Came::Nothing(Input::NotSent { why: NotSent::Busy, reason })
            }
            // The request was at fault: malformed, too slow, too large.
            ProviderAnswer::NotSent { busy: false, reason } if matches!(head.status.as_u16(), 400 | 408 | 413) => {
                withdrawn(reason)
            }
            ProviderAnswer::NotSent { busy: false, reason } => not_sent(reason),
            ProviderAnswer::Unknown { fault, reason } => {
                Came::Nothing(Input::Unknown { fault: fault && is_own_place, reason })
            }
            ProviderAnswer::Executed { report, status, headers } => {
                let payload = call.payload.clone();
                read(Began { status, headers, report, until, payload, place }, body, call.wanted).await
            }
        }
    }
}

/// Until when an attempt may go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    started: Instant,
    limit: Duration,
    /// Whether that is the lease's time, and not the caller's deadline.
    is_lease_s: bool,
}

impl Until {
    pub(crate) fn observed_us(self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The time by which an answer is wanted, by this machine's clock.
    fn deadline(self) -> Option<Time> {
        let at = SystemTime::now().checked_add(self.limit.saturating_sub(self.started.elapsed()))?;
        let micros = at.duration_since(UNIX_EPOCH).ok()?.as_micros();
        u64::try_from(micros).ok().map(Time::from_micros)
    }

    pub(crate) fn instant(self) -> tokio::time::Instant {
        (self.started + self.limit).into()
    }

    /// Does not count a time in which the caller was waited for.
    pub(crate) fn without(self, waited: Duration) -> Until {
        Until { started: self.started + waited, ..self }
    }

    /// How a call ends whose answer has begun and does not end in time: by its own timeout, or by its caller's deadline.
    pub(crate) const fn outcome(self) -> Outcome {
        if self.is_lease_s { Outcome::Timeout } else { Outcome::Ok }
    }
}

/// The request of one attempt, as the provider's adapter shapes it.
fn request(grant: &Grant, call: &Call, deadline: Option<Time>) -> Result<http::Request<Outgoing>, String> {
    let invocation = grant.invocation.ok_or("the grant names no invocation")?.into();
    let passed = call.request.as_ref().map(PassedThrough::borrowed);
    let (payload, headers) = (call.payload.body(), &call.headers);
    let proof = grant.proof.as_ref().map(merit_proto::write_proof).unwrap_or_default();
    let wire = ProviderCall {
        endpoint: &grant.endpoint,
        target: &grant.target,
        account: &call.account,
        function: &call.function,
        revision: grant.revision,
        token: &grant.token,
        proof: &proof,
        invocation,
        deadline,
        passed,
        headers,
    };
    merit_adapters::request(adapter(grant), &wire, payload).map_err(|error| error.to_string())
}

fn understand(grant: &Grant, head: &http::response::Parts) -> ProviderAnswer {
    merit_adapters::answer(adapter(grant), head)
}

fn adapter(grant: &Grant) -> merit_terms::Adapter {
    grant.adapter().into()
}

/// The innermost cause, which says most.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
