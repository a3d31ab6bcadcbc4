//! One attempt at a provider: sends the request, reads the whole answer, and says what became of it.
//!
//! What cannot have arrived is *not sent*; what may have arrived and was not answered is *unknown*.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use merit_adapters::{Answer, RequestError, agent, http as plain};
use merit_proto::v1::{Adapter, Grant, NotSent};
use merit_terms::LeaseId;

use crate::PAYLOAD_MAX_BYTES;
use crate::addresses::{Connector, Policy, Trust, connector};
use crate::dispatch::Input;

/// How long a provider may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// What an answer may take beyond the lease's timeout, which the provider enforces.
const ANSWER_GRACE: Duration = Duration::from_secs(2);

type Connections = Client<Connector, Full<Bytes>>;

/// Connections to providers, kept open and shared.
#[derive(Clone)]
pub(crate) struct Upstream {
    /// To endpoints that the operator vouches for; never used for others.
    trusted: Connections,
    others: Connections,
}

/// What is sent with every attempt.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) account: String,
    pub(crate) function: String,
    pub(crate) content_type: Option<http::HeaderValue>,
    pub(crate) payload: Bytes,
}

/// What came back from an attempt.
pub(crate) struct Attempt {
    pub(crate) input: Input,
    /// The function's answer, if it gave one.
    pub(crate) answer: Option<FunctionAnswer>,
    /// How long the provider took.
    pub(crate) took: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct FunctionAnswer {
    pub(crate) content_type: Option<http::HeaderValue>,
    pub(crate) body: Bytes,
    /// What the provider says of a function that failed.
    pub(crate) message: Option<String>,
}

impl Upstream {
    pub(crate) fn new(policy: Policy) -> Upstream {
        let policy = Arc::new(policy);
        let connections = |trust| {
            let connector = connector(policy.clone(), trust, |http| {
                http.set_nodelay(true);
                http.set_connect_timeout(Some(CONNECT_WITHIN));
            });
            Client::builder(TokioExecutor::new())
                .pool_idle_timeout(Duration::from_secs(60))
                .pool_max_idle_per_host(1024)
                .build(connector)
        };
        Upstream { trusted: connections(Trust::Operator), others: connections(Trust::Anybody) }
    }

    /// Sends one attempt and waits for it, at most `within` and at most the lease's timeout.
    pub(crate) async fn send(&self, grant: &Grant, call: &Call, within: Option<Duration>) -> Attempt {
        let started = Instant::now();
        if within == Some(Duration::ZERO) {
            let input = Input::NotSent { why: NotSent::Withdrawn, reason: "the deadline has passed".to_owned() };
            return Attempt { input, answer: None, took: Duration::ZERO };
        }
        let longest = Duration::from_millis(grant.timeout_ms.into()) + ANSWER_GRACE;
        let limit = within.map_or(longest, |within| within.min(longest));
        let (input, answer) = match tokio::time::timeout(limit, self.attempt(grant, call, started)).await {
            Ok(came) => came,
            Err(_) => {
                // The caller's deadline says nothing about the provider.
                let (fault, reason) = (limit == longest, format!("no answer within {} ms", limit.as_millis()));
                (Input::Unknown { fault, reason }, None)
            }
        };
        Attempt { input, answer, took: started.elapsed() }
    }

    async fn attempt(&self, grant: &Grant, call: &Call, started: Instant) -> (Input, Option<FunctionAnswer>) {
        let not_sent = |reason: String| (Input::NotSent { why: NotSent::Failed, reason }, None);
        let broke = |reason: String| (Input::Unknown { fault: true, reason }, None);
        let Some(invocation) = grant.invocation else {
            let reason = "the grant names no invocation".to_owned();
            return (Input::NotSent { why: NotSent::Withdrawn, reason }, None);
        };
        let request = match request(grant, call, invocation.into()) {
            Ok(request) => request,
            Err(error) => return not_sent(format!("the provider's endpoint is unusable: {error}")),
        };
        // A target of its own is the word of the function's owner, whoever vouches for the endpoint.
        let connections = match grant.endpoint_trusted && plain::is_at_endpoint(&grant.target) {
            true => &self.trusted,
            false => &self.others,
        };
        let response = match connections.request(request).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return not_sent("the provider does not accept connections".to_owned()),
            Err(error) => return broke(format!("the connection to the provider broke: {error}")),
        };
        let (head, body) = response.into_parts();
        let answer = match grant.adapter() {
            Adapter::Agent => agent::answer(&head),
            Adapter::Http => plain::answer(&head),
        };
        match answer {
            Answer::NotSent { busy: true, reason } => (Input::NotSent { why: NotSent::Busy, reason }, None),
            Answer::NotSent { busy: false, reason } => not_sent(reason),
            Answer::Unknown { fault, reason } => (Input::Unknown { fault, reason }, None),
            Answer::Executed { report, headers, .. } => {
                let body = match Limited::new(body, PAYLOAD_MAX_BYTES).collect().await {
                    Ok(body) => body.to_bytes(),
                    Err(error) => return broke(format!("the provider's answer broke off: {error}")),
                };
                let input = Input::Executed {
                    outcome: report.outcome,
                    usage: report.reading.map(|reading| reading.usage),
                    observed_us: started.elapsed().as_micros() as u64,
                    egress_bytes: body.len() as u64,
                };
                let content_type = headers.get(http::header::CONTENT_TYPE).cloned();
                (input, Some(FunctionAnswer { content_type, body, message: report.message }))
            }
        }
    }
}

/// The request of one attempt, as the provider's adapter shapes it.
fn request(grant: &Grant, call: &Call, invocation: LeaseId) -> Result<Request<Full<Bytes>>, RequestError> {
    let headers = call.content_type.iter().map(|value| (http::header::CONTENT_TYPE, value.clone())).collect();
    let payload = Full::new(call.payload.clone());
    match grant.adapter() {
        Adapter::Agent => {
            let proof = grant.proof.as_ref().map(merit_proto::write_proof).unwrap_or_default();
            let wire = agent::Call {
                endpoint: &grant.endpoint,
                account: &call.account,
                function: &call.function,
                revision: grant.revision,
                token: &grant.token,
                proof: &proof,
                invocation,
                passed: None,
                headers: &headers,
            };
            agent::request(&wire, payload)
        }
        Adapter::Http => {
            let wire = plain::Call {
                endpoint: &grant.endpoint,
                target: &grant.target,
                passed: None,
                headers: &headers,
                invocation,
                deadline: None,
            };
            plain::request(&wire, payload)
        }
    }
}
