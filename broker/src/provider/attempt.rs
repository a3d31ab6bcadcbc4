//! One attempt at a provider: sends the request, reads the answer or its beginning, and returns what became of it.
//!
//! A request that cannot have arrived is *not sent*; one that may have arrived and was not answered is *unknown*.
//! Follows no redirect. By https the handshake decides between HTTP/1.1 and HTTP/2, where one connection carries many
//! calls.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use merit_adapters::agent::HEADERS_MAX;
use merit_adapters::{NotTaken, ProviderAnswer, ProviderCall, http as plain};
use merit_terms::{Adapter, Time};
use rustls::pki_types::CertificateDer;

use super::addresses::{Connector, Policy, Trust, connector};
use super::answer::{AnswerHead, Attempted, read};
use super::call::{FunctionCall, PassedThrough, Wanted};
use super::delivery::Undelivered;
use super::end::AttemptEnd;
use super::http2::{SharedConnections, StreamShare, Unprocessed, unprocessed};
use super::keep_alive::KeepAlives;
use super::payload::{Outgoing, Payload};
use super::time_limit::TimeLimit;
use crate::exchange::leases::lease::{Grant, NotSent, Proof};

/// Timeout of a connection to a provider.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Keep-alive of an unused connection to an agent: shorter than the agent's.
const AGENT_IDLE_MAX: Duration = Duration::from_secs(60);
/// Keep-alive of an unused connection to a function server: not longer than that of common servers.
const SERVER_IDLE_MAX: Duration = Duration::from_secs(5);

/// HTTP/2 keep-alive: ping after 10 s of silence.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// HTTP/2 keep-alive: close 5 s after an unanswered ping. A dead connection would take all its calls with it.
const LIVES_WITHIN: Duration = Duration::from_secs(5);

/// HTTP/2 window of a stream, in bytes: the part of one answer that may come before its caller reads.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// HTTP/2 window of a connection, in bytes: the largest (RFC 9113, section 6.9.1), so that a caller who does not read
/// holds up no other.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;

/// Bytes of the headers of an answer over HTTP/2: as many as over HTTP/1.1.
const HEADERS_MAX_BYTES: u32 = 400 << 10;

/// Maximum unused connections to one endpoint.
const IDLE_CONNECTIONS_MAX: usize = 1024;

type Connections = Client<HttpsConnector<Connector>, Outgoing>;

/// Connections to providers, kept open and shared.
#[derive(Clone)]
pub(crate) struct Providers {
    /// Connections to endpoints that the operator vouches for, and to no others.
    trusted: Pools,
    others: Pools,
    shared: SharedConnections,
    keep_alives: KeepAlives,
}

#[derive(Clone)]
struct Pools {
    agents: Connections,
    servers: Connections,
    /// Makes a connection for each request.
    fresh: Connections,
}

impl Pools {
    fn kept(&self, adapter: Adapter) -> &Connections {
        match adapter {
            Adapter::Agent => &self.agents,
            Adapter::Http => &self.servers,
        }
    }
}

impl Providers {
    /// Makes the connections: addresses by the policy, TLS by the machine's roots and `authorities`.
    pub(crate) fn new(policy: Policy, authorities: Vec<CertificateDer<'static>>) -> Result<Providers, rustls::Error> {
        let (policy, tls) = (Arc::new(policy), super::tls::client(authorities)?);
        let connections = |trust, (idle, idle_max): (Duration, usize)| {
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
                .pool_idle_timeout(idle)
                .pool_max_idle_per_host(idle_max)
                .timer(TokioTimer::new())
                .http1_max_headers(HEADERS_MAX)
                .http2_max_header_list_size(HEADERS_MAX_BYTES)
                .http2_keep_alive_interval(SILENT_MAX)
                .http2_keep_alive_timeout(LIVES_WITHIN)
                .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
                .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .build(connector)
        };
        let pools = |trust| Pools {
            agents: connections(trust, (AGENT_IDLE_MAX, IDLE_CONNECTIONS_MAX)),
            servers: connections(trust, (SERVER_IDLE_MAX, IDLE_CONNECTIONS_MAX)),
            fresh: connections(trust, (Duration::ZERO, 0)),
        };
        Ok(Providers {
            trusted: pools(Trust::Operator),
            others: pools(Trust::Anybody),
            shared: SharedConnections::default(),
            keep_alives: KeepAlives::default(),
        })
    }

    /// Returns the connections for a grant. The operator's word for an endpoint does not hold for another place that a
    /// target names.
    fn pools(&self, grant: &Grant) -> &Pools {
        if grant.endpoint_trusted && grant.is_at_endpoint() { &self.trusted } else { &self.others }
    }

    /// Sends one attempt and waits for its answer or the beginning of it, at most `within` and the lease's timeout. A
    /// call that may repeat is sent once more if a kept connection breaks, and its gateway error is read whole.
    /// Dropping the future closes the connection or the HTTP/2 stream, which tells the provider that nobody waits.
    pub(crate) async fn send(
        &self,
        grant: &Grant,
        call: &FunctionCall,
        within: Option<Duration>,
        may_repeat: bool,
    ) -> Attempted {
        if within == Some(Duration::ZERO) {
            let reason = "the deadline has passed".to_owned();
            return Attempted::Nothing(AttemptEnd::NotSent { why: NotSent::Withdrawn, reason });
        }
        let until = TimeLimit::start(grant.timeout_ms, within);
        match tokio::time::timeout(until.limit, self.attempt(grant, call, until, may_repeat)).await {
            Ok(attempted) => attempted,
            Err(_) => {
                // An agent enforces the timeout; at a function server the function hangs. The caller's deadline says
                // nothing about the provider, nor does a payload that is still on its way.
                let fault = until.is_lease_s && grant.adapter.enforces_timeout() && !call.payload.is_unfinished();
                let reason = format!("no answer within {} ms", until.limit.as_millis());
                Attempted::Nothing(AttemptEnd::Unknown { fault, reason })
            }
        }
    }

    async fn attempt(&self, grant: &Grant, call: &FunctionCall, until: TimeLimit, may_repeat: bool) -> Attempted {
        let blame = Blame::of(grant);
        let (response, share) = match self.request(grant, call, until, may_repeat).await {
            Ok(responded) => responded,
            Err(end) => return Attempted::Nothing(end),
        };
        let (head, body) = response.into_parts();
        match merit_adapters::answer(grant.adapter, &head) {
            ProviderAnswer::Executed { mut report, status, headers } => {
                if grant.logs_off {
                    report.log = Vec::new();
                }
                let payload = call.payload.clone();
                let gateway_error = grant.adapter == Adapter::Http && plain::is_gateway_error(status);
                let wanted = if gateway_error && may_repeat { Wanted::Whole } else { call.wanted };
                read(AnswerHead { status, headers, report, until, payload, share, gateway_error }, body, wanted).await
            }
            ProviderAnswer::NotSent { why, reason } => Attempted::Nothing(match why {
                NotTaken::Full => AttemptEnd::NotSent { why: NotSent::Busy, reason },
                NotTaken::Warming { retry_after_s } => {
                    AttemptEnd::NotSent { why: NotSent::Warming { retry_after_s }, reason }
                }
                NotTaken::Call => withdrawn(reason),
                NotTaken::Failed => blame.not_sent(NotSent::Failed, reason),
            }),
            ProviderAnswer::Unknown { fault, reason } => Attempted::Nothing(blame.unknown(fault, reason)),
        }
    }

    /// Sends the request and waits for the head of its response. Returns it with its stream on a shared connection.
    async fn request(
        &self,
        grant: &Grant,
        call: &FunctionCall,
        until: TimeLimit,
        may_repeat: bool,
    ) -> Result<(http::Response<Incoming>, Option<StreamShare>), AttemptEnd> {
        let blame = Blame::of(grant);
        let shaped = || request(grant, call, until.deadline());
        let mut request = shaped().map_err(withdrawn)?;
        let pools = self.pools(grant);
        let is_tls = request.uri().scheme() == Some(&Scheme::HTTPS);
        let server = request.uri().authority().filter(|_| is_tls).cloned();
        let full = |_| {
            let reason = "as many calls as one connection of HTTP/2 takes are under way there".to_owned();
            blame.not_sent(NotSent::Busy, reason)
        };
        let share = server.as_ref().map(|server| self.shared.begin(server)).transpose().map_err(full)?.flatten();
        // An agent keeps its connections longer than the pool.
        let connection = (grant.adapter == Adapter::Http).then(|| capture_connection(&mut request));
        let mut sent = pools.kept(grant.adapter).request(request).await;
        if let (Ok(response), Some(connection)) = (&sent, &connection) {
            self.keep_alives.note(response, connection, SERVER_IDLE_MAX);
        }
        if let Err(error) = &sent
            && let Some(connections) = self.once_more(error, grant, call, may_repeat)
            && let Ok(request) = shaped()
        {
            let may_have_run = unprocessed(error).is_none() && !is_closed_before(error, call);
            sent = match connections.request(request).await {
                // The first one may have arrived.
                Err(second) if may_have_run && second.is_connect() => sent,
                again => again,
            };
        }
        let response = sent.map_err(|error| failed(&error, call, grant))?;
        if let Some(server) = &server {
            self.shared.learn(server, response.version());
        }
        Ok((response, share))
    }

    /// Returns the connections by which a request is sent once more: after a GOAWAY; on a new connection, if the kept
    /// one was closed before the request came; and, of a call that may run twice, if a kept connection to a function
    /// server broke otherwise. An agent takes a token once.
    fn once_more(
        &self,
        error: &ClientError,
        grant: &Grant,
        call: &FunctionCall,
        may_repeat: bool,
    ) -> Option<&Connections> {
        let pools = self.pools(grant);
        if call.payload.is_spent() || call.payload.fault().is_some() {
            return None;
        }
        match unprocessed(error) {
            Some(Unprocessed::GoesAway) => Some(pools.kept(grant.adapter)),
            Some(Unprocessed::Refused) => None,
            None if is_closed_before(error, call) => Some(&pools.fresh),
            None => (may_repeat && !grant.adapter.takes_tokens() && !error.is_connect()).then_some(&pools.fresh),
        }
    }
}

/// The place of an attempt, which decides who is to blame for a failure there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    /// The provider's own endpoint.
    Provider,
    /// A place that a function's owner named: a failure there says nothing about the provider.
    Nobody,
}

impl Blame {
    fn of(grant: &Grant) -> Blame {
        if grant.is_at_endpoint() { Blame::Provider } else { Blame::Nobody }
    }

    fn not_sent(self, why: NotSent, reason: String) -> AttemptEnd {
        match self {
            Blame::Provider => AttemptEnd::NotSent { why, reason },
            Blame::Nobody => withdrawn(reason),
        }
    }

    fn unknown(self, fault: bool, reason: String) -> AttemptEnd {
        AttemptEnd::Unknown { fault: fault && self == Blame::Provider, reason }
    }
}

/// Returns the end of a request that the caller or the function's owner made wrong.
fn withdrawn(reason: String) -> AttemptEnd {
    AttemptEnd::NotSent { why: NotSent::Withdrawn, reason }
}

/// Returns the end of a request without a response.
fn failed(error: &ClientError, call: &FunctionCall, grant: &Grant) -> AttemptEnd {
    let blame = Blame::of(grant);
    if error.is_connect() {
        return blame.not_sent(NotSent::Failed, format!("no connection to the provider: {}", cause(error)));
    }
    // A fault with the payload is the caller's.
    if call.payload.fault().is_some() {
        return AttemptEnd::Unknown { fault: false, reason: "the payload could not be sent whole".to_owned() };
    }
    let Some(why) = unprocessed(error) else {
        if is_closed_before(error, call) {
            let reason = "the provider closed the connection as the request came, and took nothing of it".to_owned();
            return blame.not_sent(NotSent::Failed, reason);
        }
        if grant.adapter == Adapter::Http && has_large_head(error) {
            // The function's own answer.
            return blame.unknown(false, format!("the answer has more than {HEADERS_MAX} headers, or 400 KB of them"));
        }
        return blame.unknown(true, format!("the connection to the provider broke: {}", cause(error)));
    };
    let reason = format!("the provider took nothing of it: {}", cause(error));
    match why {
        Unprocessed::Refused => blame.not_sent(NotSent::Busy, reason),
        Unprocessed::GoesAway => blame.not_sent(NotSent::Failed, reason),
    }
}

/// Returns the request of one attempt, as the provider's adapter shapes it.
fn request(grant: &Grant, call: &FunctionCall, deadline: Option<Time>) -> Result<http::Request<Outgoing>, String> {
    let passed = call.request.as_ref().map(PassedThrough::borrowed);
    let proof = grant.proof.as_ref().filter(|_| grant.adapter.takes_tokens()).map(Proof::to_header).unwrap_or_default();
    let wire = ProviderCall {
        endpoint: &grant.endpoint,
        target: &grant.target,
        targets: &grant.targets,
        account: &call.account,
        function: &call.function,
        revision: grant.revision,
        token: &grant.token,
        proof: &proof,
        invocation: grant.invocation,
        deadline,
        passed,
        headers: &call.headers,
        via: call.via.as_deref(),
    };
    merit_adapters::request(grant.adapter, &wire, call.payload.body()).map_err(|error| error.to_string())
}

/// Returns whether the connection was closed before the provider got a byte of the request.
fn is_closed_before(error: &ClientError, call: &FunctionCall) -> bool {
    let Payload::Whole(whole) = &call.payload else { return false };
    error.connect_info().is_some_and(|connection| Undelivered::is_whole_request(connection, whole.len()))
}

/// Returns whether an answer broke off because its head was too large.
fn has_large_head(error: &ClientError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    cause.is_some_and(hyper::Error::is_parse_too_large)
}

/// Returns the innermost cause of an error, which says most.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
