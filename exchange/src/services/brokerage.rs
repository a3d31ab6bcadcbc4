//! `merit.v1.Brokerage`: acquire, settle, release, quote, and the record of an invocation.

use std::collections::BTreeMap;

use merit_engine::{Bid, Command, Engine, Grant, MeritOrder, NotSent, Reply, Settle};
use merit_proto::v1;
use merit_proto::v1::brokerage_server::Brokerage;
use merit_proto::{refusal_status, required};
use merit_terms::{Execution, LeaseId, Outcome, ProviderId, Refusal};
use tonic::{Request, Response, Status};

use super::{parse, provider_name, unavailable, unknown};
use crate::clock;
use crate::codec::qualifier_from_proto;
use crate::open::Exchange;

/// Offers listed in a quote; the rest are counted.
const OFFERS_LISTED: usize = 50;
/// More attempts than any broker makes.
const TRIED_MAX: usize = 64;

#[tonic::async_trait]
impl Brokerage for Exchange {
    async fn acquire(&self, request: Request<v1::AcquireRequest>) -> Result<Response<v1::AcquireResponse>, Status> {
        use v1::acquire_response::Answer;
        let request = request.into_inner();
        let mut bid = self.bid(&request.account, &request.function, request.qualifier, request.limits.as_ref())?;
        bid.answer_limit_bytes = request.answer_limit_bytes;
        if request.tried.len() > TRIED_MAX {
            return Err(Status::invalid_argument(format!("tried: {}; at most {TRIED_MAX}", request.tried.len())));
        }
        bid.tried = self.0.sequencer.read(|engine| provider_ids(engine, &request.tried));
        bid.invocation = request.invocation.map(Into::into);
        let submitted = self.0.sequencer.submit(&Command::Acquire(Box::new(bid))).map_err(unavailable)?;
        let answer = match submitted.applied.reply {
            Ok(Reply::Granted(grant)) => Answer::Grant(self.dispatchable(&grant)?),
            Ok(_) => return Err(Status::internal("the match answered something else than a grant")),
            Err(refusal) => {
                Answer::Refusal(v1::Refusal { code: refusal.code().to_owned(), message: refusal.to_string() })
            }
        };
        Ok(Response::new(v1::AcquireResponse { answer: Some(answer) }))
    }

    async fn settle(&self, request: Request<v1::SettleRequest>) -> Result<Response<v1::SettleResponse>, Status> {
        let request = request.into_inner();
        let execution: Execution = request.execution().try_into()?;
        let settle = Settle {
            lease: required("lease", request.lease)?.into(),
            execution,
            outcome: match execution {
                Execution::Executed => request.outcome().try_into()?,
                _ => Outcome::Ok,
            },
            reported: request.reported.as_ref().map(Into::into),
            observed_us: request.observed_us,
            egress_bytes: request.egress_bytes,
            fault: false,
        };
        let submitted = self.0.sequencer.submit(&Command::Settle(settle)).map_err(unavailable)?;
        // Also a repeat waits: the settlement that it repeats may not be durable yet.
        submitted.durable.wait().await.map_err(unavailable)?;
        let response = match submitted.applied.reply {
            Ok(Reply::Settled(settlement)) => v1::SettleResponse {
                cost: settlement.cost.picodollars(),
                billed_ms: settlement.billed_ms,
                closed: false,
            },
            Ok(_) => v1::SettleResponse::default(),
            Err(Refusal::Closed) => v1::SettleResponse { closed: true, ..v1::SettleResponse::default() },
            Err(refusal) => return Err(refusal_status(&refusal)),
        };
        Ok(Response::new(response))
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Result<Response<v1::ReleaseResponse>, Status> {
        let request = request.into_inner();
        let lease = required("lease", request.lease)?.into();
        let why = if request.busy { NotSent::Busy } else { NotSent::Withdrawn };
        let submitted = self.0.sequencer.submit(&Command::Release { lease, why }).map_err(unavailable)?;
        match submitted.applied.reply {
            Ok(_) | Err(Refusal::Closed) => Ok(Response::new(v1::ReleaseResponse {})),
            Err(refusal) => Err(refusal_status(&refusal)),
        }
    }

    async fn quote(&self, request: Request<v1::QuoteRequest>) -> Result<Response<v1::QuoteResponse>, Status> {
        let request = request.into_inner();
        let mut bid = self.bid(&request.account, &request.function, request.qualifier, request.limits.as_ref())?;
        bid.answer_limit_bytes = request.answer_limit_bytes;
        let quoted = self.0.sequencer.read_durable(|engine| {
            let merit_order = engine.quote(&bid)?;
            Ok(quote_response(engine, &merit_order))
        });
        let response = quoted.await.map_err(unavailable)?;
        response.map(Response::new).map_err(|refusal: Refusal| refusal_status(&refusal))
    }

    async fn get_invocation(
        &self,
        request: Request<v1::GetInvocationRequest>,
    ) -> Result<Response<v1::Invocation>, Status> {
        let request = request.into_inner();
        let account = self.account_id(&request.account)?;
        let id: LeaseId = required("id", request.id)?.into();
        self.invocation(account, id).await.map(Response::new)
    }
}

impl Exchange {
    fn bid(
        &self,
        account: &str,
        function: &str,
        qualifier: Option<v1::Qualifier>,
        limits: Option<&v1::Limits>,
    ) -> Result<Bid, Status> {
        let name = parse("function", function)?;
        let ids = self.0.sequencer.read(|engine| {
            let account = engine.find_account(account)?;
            Some((account, engine.find_function(account, &name)))
        });
        let (account, found) = ids.ok_or_else(|| unknown("account", account))?;
        Ok(Bid {
            account,
            function: found.ok_or_else(|| unknown("function", function))?,
            qualifier: qualifier_from_proto(qualifier)?,
            answer_limit_bytes: 0,
            limits: limits.map(TryInto::try_into).transpose()?.unwrap_or_default(),
            tried: Vec::new(),
            invocation: None,
            request: None,
        })
    }

    /// The grant with names, endpoint and token instead of numbers.
    fn dispatchable(&self, grant: &Grant) -> Result<v1::Grant, Status> {
        let terms = &grant.terms;
        self.0
            .sequencer
            .read(|engine| {
                let provider = engine.provider(terms.provider)?;
                let function = engine.function(terms.function)?;
                let revision = function.revision(terms.revision)?;
                let claims = v1::LeaseClaims {
                    provider: provider.name.to_string(),
                    session: grant.session,
                    lease: Some(terms.lease.into()),
                    account: engine.account(terms.account).ok()?.name.clone(),
                    function: function.name.to_string(),
                    revision: terms.revision,
                    module: revision.code.module.map(|digest| digest.to_vec()).unwrap_or_default(),
                    memory_mb: terms.memory_mb,
                    timeout_ms: terms.timeout_ms,
                    attempt: terms.attempt,
                    expires: grant.expires.micros(),
                };
                let key = self.0.key.session_key(&claims.provider, grant.session);
                Some(v1::Grant {
                    lease: Some(terms.lease.into()),
                    invocation: Some(terms.invocation.into()),
                    attempt: terms.attempt,
                    provider: claims.provider.clone(),
                    market: engine.market(terms.market)?.name.to_string(),
                    endpoint: provider.endpoint.clone(),
                    revision: terms.revision,
                    memory_mb: terms.memory_mb,
                    timeout_ms: terms.timeout_ms,
                    tariff: Some((&terms.tariff).into()),
                    price: terms.tariff.reference_price().picodollars(),
                    quoted_cost: grant.quoted_cost.picodollars(),
                    token: merit_proto::sign(&key, &claims),
                    idempotent: function.settings.idempotent,
                })
            })
            .ok_or_else(|| Status::internal("a granted lease names something that is not registered"))
    }
}

/// Names that no provider has cannot have been tried, and are passed over.
fn provider_ids(engine: &Engine, names: &[String]) -> Vec<ProviderId> {
    names.iter().filter_map(|name| engine.find_provider(&name.parse().ok()?)).collect()
}

fn quote_response(engine: &Engine, merit_order: &MeritOrder) -> v1::QuoteResponse {
    let market = |id| engine.market(id).map_or_else(String::new, |market| market.name.to_string());
    let offers = merit_order.offers.iter().take(OFFERS_LISTED).map(|candidate| v1::QuotedOffer {
        provider: provider_name(engine, candidate.provider),
        offer: candidate.offer.to_string(),
        market: market(candidate.market),
        price: candidate.price.picodollars(),
        predicted_wall_us: candidate.wall_us,
        predicted_cold_us: 0,
        predicted_billed_ms: candidate.billed_ms,
        predicted_cost: candidate.cost.picodollars(),
        worst_cost: candidate.worst_cost.picodollars(),
        timeout_ms: candidate.timeout_ms,
        prior: candidate.on_prior,
    });
    let refused = merit_order.refused.iter().take(OFFERS_LISTED).map(|refused| v1::RefusedOffer {
        provider: provider_name(engine, refused.provider),
        offer: refused.offer.to_string(),
        market: market(refused.market),
        code: refused.reason.code().to_owned(),
        message: refused.reason.to_string(),
    });
    let mut more: BTreeMap<&str, u32> = BTreeMap::new();
    for refused in merit_order.refused.iter().skip(OFFERS_LISTED) {
        *more.entry(refused.reason.code()).or_default() += 1;
    }
    v1::QuoteResponse {
        revision: merit_order.revision,
        sequence: engine.sequence(),
        at: clock::now().micros(),
        offers: offers.collect(),
        refused: refused.collect(),
        more_offers: merit_order.offers.len().saturating_sub(OFFERS_LISTED) as u32,
        more_refused: more.into_iter().map(|(code, count)| v1::RefusedCount { code: code.to_owned(), count }).collect(),
    }
}
