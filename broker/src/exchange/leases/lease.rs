//! A lease from its bid to its bill, in the broker's own types.

use std::sync::Arc;

use merit_proto::v1;
use merit_terms::{Adapter, LeaseId, Limits, Outcome, TargetPattern, Usage, is_at_endpoint};

/// The revision that a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Qualifier {
    Alias(String),
    Number(u32),
}

/// The demand of one attempt.
#[derive(Debug)]
pub(crate) struct Bid {
    pub(crate) account: Arc<str>,
    pub(crate) function: String,
    /// None: the revision of the alias `live`.
    pub(crate) qualifier: Option<Qualifier>,
    pub(crate) answer_limit_bytes: u64,
    pub(crate) limits: Limits,
    /// Names of the providers of earlier attempts.
    pub(crate) tried: Vec<String>,
    /// Lease of the first attempt.
    pub(crate) invocation: Option<LeaseId>,
}

/// A granted lease, with everything that an attempt needs.
#[derive(Debug, PartialEq)]
pub(crate) struct Grant {
    pub(crate) lease: LeaseId,
    pub(crate) invocation: LeaseId,
    pub(crate) provider: String,
    pub(crate) market: String,
    /// URL at which the provider takes invocations.
    pub(crate) endpoint: String,
    /// Path or URL that the deployment calls there; empty for a module.
    pub(crate) target: String,
    /// Patterns by which the provider's owner allows a target that is not at the endpoint.
    pub(crate) targets: Vec<TargetPattern>,
    /// Set where the operator vouches for the endpoint: it may be inside the operator's network.
    pub(crate) endpoint_trusted: bool,
    pub(crate) adapter: Adapter,
    pub(crate) revision: u32,
    pub(crate) memory_mb: u32,
    pub(crate) timeout_ms: u32,
    /// Reference price of the tariff, in picodollars per GB-s.
    pub(crate) price: u64,
    /// Predicted cost, in picodollars.
    pub(crate) quoted_cost: u64,
    pub(crate) idempotent: bool,
    /// Set where the function's log is neither kept nor told.
    pub(crate) logs_off: bool,
    /// MAC for the provider, by the key of its session.
    pub(crate) token: String,
    pub(crate) proof: Option<Proof>,
}

/// The exchange's MAC over the whole grant: it settles a lease that a crash lost, and lets the provider claim.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Proof(v1::LeaseProof);

/// The reason for which a lease was given back unsent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// The caller or the broker gave up.
    Withdrawn,
    /// The provider is full.
    Busy,
    /// The provider failed: no connection, a refused token.
    Failed,
    /// Its gateway error was replaced by another provider's answer.
    Replaced,
    /// The function's module gets ready there.
    Warming { retry_after_s: u32 },
}

/// The report about an attempt that may have run, for its settlement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bill {
    Executed {
        outcome: Outcome,
        /// The provider's report, if it made one.
        usage: Option<Usage>,
        observed_us: u64,
        egress_bytes: u64,
        /// The end of the function's log.
        log: Vec<u8>,
        /// True for a status of 500 or more.
        server_error: bool,
    },
    Unknown {
        /// Set where the provider is to blame.
        fault: bool,
        /// Time until the attempt broke, in microseconds.
        observed_us: u64,
        /// Set where no further attempt follows.
        given_up: bool,
    },
}

/// The price of a settled lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paid {
    /// Picodollars.
    pub(crate) cost: u64,
    pub(crate) billed_ms: u64,
}

impl Grant {
    /// Returns true if the call goes to the provider's endpoint, and not to another place that a target names.
    pub(crate) fn is_at_endpoint(&self) -> bool {
        self.adapter == Adapter::Agent || is_at_endpoint(&self.endpoint, &self.target)
    }
}

impl Proof {
    /// Returns the proof as the text of a header.
    pub(crate) fn to_header(&self) -> String {
        merit_proto::write_proof(&self.0)
    }

    pub(super) fn into_message(self) -> v1::LeaseProof {
        self.0
    }
}

impl From<v1::LeaseProof> for Proof {
    fn from(proof: v1::LeaseProof) -> Proof {
        Proof(proof)
    }
}

impl From<Qualifier> for v1::Qualifier {
    fn from(qualifier: Qualifier) -> v1::Qualifier {
        use v1::qualifier::Revision;
        let revision = match qualifier {
            Qualifier::Alias(alias) => Revision::Alias(alias),
            Qualifier::Number(number) => Revision::Number(number),
        };
        v1::Qualifier { revision: Some(revision) }
    }
}

impl From<Bid> for v1::Acquire {
    /// The stream gives the bid its number.
    fn from(bid: Bid) -> v1::Acquire {
        v1::Acquire {
            number: 0,
            account: bid.account.to_string(),
            function: bid.function,
            qualifier: bid.qualifier.map(Into::into),
            answer_limit_bytes: bid.answer_limit_bytes,
            limits: (bid.limits != Limits::default()).then(|| (&bid.limits).into()),
            tried: bid.tried,
            invocation: bid.invocation.map(Into::into),
        }
    }
}

/// Returns none for a grant that names no lease or no invocation. No exchange sends one; its deadline would end it.
pub(super) fn grant_from_proto(grant: v1::Grant) -> Option<Arc<Grant>> {
    let adapter = grant.adapter().into();
    Some(Arc::new(Grant {
        lease: grant.lease?.into(),
        invocation: grant.invocation?.into(),
        provider: grant.provider,
        market: grant.market,
        endpoint: grant.endpoint,
        target: grant.target,
        // A pattern of a newer exchange allows nothing here.
        targets: grant.targets.iter().filter_map(|pattern| pattern.parse().ok()).collect(),
        endpoint_trusted: grant.endpoint_trusted,
        adapter,
        revision: grant.revision,
        memory_mb: grant.memory_mb,
        timeout_ms: grant.timeout_ms,
        price: grant.price,
        quoted_cost: grant.quoted_cost,
        idempotent: grant.idempotent,
        logs_off: grant.logs_off,
        token: grant.token,
        proof: grant.proof.map(Proof),
    }))
}

impl From<NotSent> for v1::NotSent {
    fn from(why: NotSent) -> v1::NotSent {
        match why {
            NotSent::Withdrawn => v1::NotSent::Withdrawn,
            NotSent::Warming { .. } => v1::NotSent::Warming,
            NotSent::Busy => v1::NotSent::Busy,
            NotSent::Failed => v1::NotSent::Failed,
            NotSent::Replaced => v1::NotSent::Replaced,
        }
    }
}

pub(super) fn settle_message(lease: LeaseId, bill: &Bill) -> v1::Settle {
    let mut settle = v1::Settle { lease: Some(lease.into()), ..v1::Settle::default() };
    match bill {
        Bill::Executed { outcome, usage, observed_us, egress_bytes, log, server_error } => {
            settle.set_execution(v1::Execution::Executed);
            settle.set_outcome((*outcome).into());
            settle.reported = usage.as_ref().map(Into::into);
            settle.observed_us = *observed_us;
            settle.egress_bytes = *egress_bytes;
            settle.log.clone_from(log);
            settle.server_error = *server_error;
        }
        Bill::Unknown { fault, observed_us, given_up } => {
            settle.set_execution(v1::Execution::Unknown);
            (settle.fault, settle.observed_us, settle.given_up) = (*fault, *observed_us, *given_up);
        }
    }
    settle
}
