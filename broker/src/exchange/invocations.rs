//! Quotes of calls, and the records of invocations.

use std::collections::BTreeMap;
use std::sync::Arc;

use merit_proto::v1;
use merit_terms::{InvocationState, LeaseId, Limits, Outcome, Tariff, Time, Usage};
use serde::Serialize;

use super::clients::{Exchange, answer};
use super::leases::lease::{Paid, Qualifier};
use super::past::{ListPage, Past, micros};
use crate::error::ApiError;

/// A call that is to be quoted.
#[derive(Debug)]
pub(crate) struct QuoteRequest<'a> {
    pub(crate) account: &'a Arc<str>,
    pub(crate) function: String,
    pub(crate) qualifier: Option<Qualifier>,
    pub(crate) answer_limit_bytes: u64,
    pub(crate) limits: &'a Limits,
}

/// The merit order for a call. Prices and costs are picodollars.
#[derive(Debug)]
pub(crate) struct Quote {
    pub(crate) revision: u32,
    pub(crate) sequence: u64,
    pub(crate) at: Time,
    /// Best first.
    pub(crate) offers: Vec<QuotedOffer>,
    pub(crate) refused: Vec<RefusedOffer>,
    /// Offers beyond those listed.
    pub(crate) more_offers: u32,
    /// Refused offers beyond those listed, or that the account may not see, by the code of the reason.
    pub(crate) more_refused: BTreeMap<String, u32>,
}

#[derive(Debug)]
pub(crate) struct QuotedOffer {
    pub(crate) provider: String,
    pub(crate) offer: String,
    pub(crate) market: String,
    pub(crate) price: u64,
    pub(crate) predicted_wall_us: u64,
    pub(crate) predicted_cold_us: u64,
    pub(crate) predicted_billed_ms: u64,
    /// Expected bill of a call.
    pub(crate) predicted_cost: u64,
    /// Expected bill of an answer. None: hardly any call succeeds.
    pub(crate) predicted_cost_of_answer: Option<u64>,
    /// Success over that of the best provider, in percent.
    pub(crate) success_percent: u32,
    pub(crate) worst_cost: u64,
    pub(crate) timeout_ms: u32,
    /// Set where the prediction rests on no history of the provider.
    pub(crate) prior: bool,
    /// Set where the prediction rests on the broker's clock, as the provider reports nothing.
    pub(crate) observed: bool,
}

/// An offer that may not serve the call, and the reason. Told to callers as it is.
#[derive(Debug, Serialize)]
pub(crate) struct RefusedOffer {
    pub(crate) provider: String,
    pub(crate) offer: String,
    pub(crate) market: String,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The record of an invocation. Costs are picodollars.
#[derive(Debug)]
pub(crate) struct InvocationRecord {
    pub(crate) id: Option<LeaseId>,
    pub(crate) account: String,
    pub(crate) function: String,
    pub(crate) revision: u32,
    pub(crate) state: String,
    pub(crate) submitted_at: Time,
    pub(crate) deadline: Option<Time>,
    pub(crate) attempts: Vec<AttemptRecord>,
    pub(crate) memory_mb: u32,
    pub(crate) vcpus_milli: u32,
    pub(crate) tariff: Tariff,
    pub(crate) quoted_cost: u64,
    pub(crate) settlement: Option<SettlementRecord>,
    /// The next best provider and its predicted cost.
    pub(crate) runner_up: Option<(String, u64)>,
    /// The end of the function's log; empty in a list.
    pub(crate) log: Vec<u8>,
}

/// The invocations that a reader asks for. None sets no bound.
#[derive(Debug, Default)]
pub(crate) struct WantedInvocations {
    pub(crate) function: Option<String>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) state: Option<InvocationState>,
    pub(crate) past: Past,
}

#[derive(Debug)]
pub(crate) struct SettlementRecord {
    pub(crate) at: Time,
    /// None for an attempt that did not execute.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) usage: Usage,
    pub(crate) billed_ms: u64,
    pub(crate) estimated: bool,
    pub(crate) cost: u64,
    pub(crate) fee: u64,
}

#[derive(Debug)]
pub(crate) struct AttemptRecord {
    pub(crate) provider: String,
    pub(crate) market: String,
    pub(crate) lease: Option<LeaseId>,
    pub(crate) matched_at: Time,
    pub(crate) outcome: String,
    pub(crate) wall_us: u64,
    pub(crate) quoted_cost: u64,
    pub(crate) prior: bool,
    pub(crate) cost: Option<u64>,
    pub(crate) claim: Option<Usage>,
}

/// Outcome of an attempt record whose provider answered.
const EXECUTED: &str = "executed";

impl Exchange {
    /// Returns the merit order for a call now. Runs nothing.
    pub(crate) async fn quote(&self, call: QuoteRequest<'_>) -> Result<Quote, ApiError> {
        let (account, function) = (call.account.clone(), call.function.clone());
        let request = v1::QuoteRequest {
            account: call.account.to_string(),
            function: call.function,
            qualifier: call.qualifier.map(Into::into),
            answer_limit_bytes: call.answer_limit_bytes,
            limits: Some(call.limits.into()),
        };
        match answer(self.brokerage.clone().quote(request)).await {
            Ok(quoted) => Ok(quoted.into()),
            Err(error) => Err(self.near_function(error, &account, &function).await),
        }
    }

    pub(crate) async fn invocation(&self, account: &str, id: LeaseId) -> Result<InvocationRecord, ApiError> {
        answer(self.get_invocation(account, id)).await.map(Into::into)
    }

    pub(crate) async fn invocations(
        &self,
        account: &str,
        wanted: WantedInvocations,
    ) -> Result<ListPage<InvocationRecord>, ApiError> {
        let request = v1::ListInvocationsRequest {
            account: account.to_owned(),
            function: wanted.function.clone().unwrap_or_default(),
            outcome: wanted.outcome.map_or(v1::Outcome::Unspecified, Into::into).into(),
            state: wanted.state.map_or("", InvocationState::as_str).to_owned(),
            from: micros(wanted.past.from),
            to: micros(wanted.past.to),
            limit: wanted.past.limit.unwrap_or(0),
            before: wanted.past.before.unwrap_or(0),
        };
        match answer(self.archive.clone().list_invocations(request)).await {
            Ok(listed) => Ok(ListPage::of(listed.invocations, listed.next)),
            Err(error) => Err(self.near_wanted(error, account, wanted.function.as_deref()).await),
        }
    }

    /// Adds the nearest name to an error that there is no such function.
    pub(super) async fn near_wanted(&self, error: ApiError, account: &str, function: Option<&str>) -> ApiError {
        match function {
            Some(function) => self.near_function(error, account, function).await,
            None => error,
        }
    }

    /// Returns the price of an invocation if the attempt under this lease executed and was settled; none otherwise.
    pub(crate) async fn paid(&self, account: &str, invocation: LeaseId, lease: LeaseId) -> Option<Paid> {
        let record = answer(self.get_invocation(account, invocation)).await.ok()?;
        let executed = |attempt: &v1::Attempt| attempt.lease == Some(lease.into()) && attempt.outcome == EXECUTED;
        let is_paid = record.attempts.iter().any(executed);
        is_paid.then_some(Paid { cost: record.cost, billed_ms: record.billed_ms })
    }

    async fn get_invocation(
        &self,
        account: &str,
        id: LeaseId,
    ) -> Result<tonic::Response<v1::Invocation>, tonic::Status> {
        let request = v1::GetInvocationRequest { account: account.to_owned(), id: Some(id.into()) };
        self.brokerage.clone().get_invocation(request).await
    }
}

impl From<v1::QuoteResponse> for Quote {
    fn from(quoted: v1::QuoteResponse) -> Quote {
        Quote {
            revision: quoted.revision,
            sequence: quoted.sequence,
            at: Time::from_micros(quoted.at),
            offers: quoted.offers.into_iter().map(quoted_offer).collect(),
            refused: quoted.refused.into_iter().map(refused_offer).collect(),
            more_offers: quoted.more_offers,
            more_refused: quoted.more_refused.into_iter().map(|more| (more.code, more.count)).collect(),
        }
    }
}

fn quoted_offer(offer: v1::QuotedOffer) -> QuotedOffer {
    let source = offer.source();
    QuotedOffer {
        provider: offer.provider,
        offer: offer.offer,
        market: offer.market,
        price: offer.price,
        predicted_wall_us: offer.predicted_wall_us,
        predicted_cold_us: offer.predicted_cold_us,
        predicted_billed_ms: offer.predicted_billed_ms,
        predicted_cost: offer.predicted_cost,
        predicted_cost_of_answer: offer.predicted_cost_of_answer,
        success_percent: offer.success_percent,
        worst_cost: offer.worst_cost,
        timeout_ms: offer.timeout_ms,
        prior: source == v1::PredictionSource::Prior,
        observed: source == v1::PredictionSource::Observed,
    }
}

fn refused_offer(offer: v1::RefusedOffer) -> RefusedOffer {
    let v1::RefusedOffer { provider, offer, market, code, message } = offer;
    RefusedOffer { provider, offer, market, code, message }
}

impl From<v1::Invocation> for InvocationRecord {
    fn from(record: v1::Invocation) -> InvocationRecord {
        let time = |micros: u64| (micros > 0).then(|| Time::from_micros(micros));
        let settlement = time(record.settled_at).map(|at| SettlementRecord {
            at,
            outcome: Outcome::try_from(record.outcome()).ok(),
            usage: record.usage.as_ref().map(Into::into).unwrap_or_default(),
            billed_ms: record.billed_ms,
            estimated: record.estimated,
            cost: record.cost,
            fee: record.fee,
        });
        let runner_up = (!record.runner_up.is_empty()).then_some((record.runner_up, record.runner_up_cost));
        InvocationRecord {
            id: record.id.map(Into::into),
            account: record.account,
            function: record.function,
            revision: record.revision,
            state: record.state,
            submitted_at: Time::from_micros(record.submitted_at),
            deadline: time(record.deadline),
            attempts: record.attempts.into_iter().map(attempt_record).collect(),
            memory_mb: record.memory_mb,
            vcpus_milli: record.vcpus_milli,
            tariff: (&record.tariff.unwrap_or_default()).into(),
            quoted_cost: record.quoted_cost,
            settlement,
            runner_up,
            log: record.log,
        }
    }
}

fn attempt_record(attempt: v1::Attempt) -> AttemptRecord {
    AttemptRecord {
        provider: attempt.provider,
        market: attempt.market,
        lease: attempt.lease.map(Into::into),
        matched_at: Time::from_micros(attempt.matched_at),
        outcome: attempt.outcome,
        wall_us: attempt.wall_us,
        quoted_cost: attempt.quoted_cost,
        prior: attempt.prior,
        cost: attempt.cost,
        claim: attempt.claim.as_ref().map(Into::into),
    }
}
