//! `merit.v1.Brokerage`: the brokers' streams, quotes, and the record of an invocation.

use std::collections::BTreeMap;
use std::pin::Pin;

use merit_engine::{Bid, Engine, MeritOrder, Refused, Source};
use merit_proto::v1;
use merit_proto::v1::brokerage_server::Brokerage;
use merit_proto::{refusal_status, required};
use merit_terms::{LeaseId, Money, Reason, Refusal, Time};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::lookup::{parse, provider_name, unavailable, unknown};
use crate::access::caller;
use crate::exchange::Exchange;
use crate::messages::qualifier_from_proto;

/// Offers listed in a quote at most; the rest are counted.
const OFFERS_LISTED: usize = 50;

#[tonic::async_trait]
impl Brokerage for Exchange {
    type StreamStream = Pin<Box<dyn Stream<Item = Result<v1::BrokerageMessage, Status>> + Send>>;

    async fn stream(
        &self,
        request: Request<Streaming<v1::BrokerMessage>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let caller = caller(&request)?;
        let told = self.clone().open_broker_stream(caller, request.into_inner());
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn quote(&self, request: Request<v1::QuoteRequest>) -> Result<Response<v1::QuoteResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        self.own_account(caller, &request.account)?;
        let mut bid = self.bid(&request.account, &request.function, request.qualifier, request.limits.as_ref())?;
        bid.answer_limit_bytes = request.answer_limit_bytes;
        let (response, durable) = {
            let _quoting = self.0.quoting.lock().await;
            let at = self.0.sequencer.now();
            self.0.sequencer.look(|engine| Ok(quote_response(engine, &engine.quote(&bid)?, at)))
        };
        durable.wait().await.map_err(unavailable)?;
        response.map(Response::new).map_err(|refusal: Refusal| refusal_status(&refusal))
    }

    async fn get_invocation(
        &self,
        request: Request<v1::GetInvocationRequest>,
    ) -> Result<Response<v1::Invocation>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let account = self.own_account(caller, &request.account)?;
        let id: LeaseId = required("id", request.id)?.into();
        self.invocation(account, id).await.map(Response::new)
    }
}

impl Exchange {
    pub(super) fn bid(
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
}

const fn source_to_proto(source: Source) -> v1::PredictionSource {
    match source {
        Source::Unknown => v1::PredictionSource::Unknown,
        Source::Prior => v1::PredictionSource::Prior,
        Source::Reported => v1::PredictionSource::Reported,
        Source::Observed => v1::PredictionSource::Observed,
    }
}

fn quote_response(engine: &Engine, merit_order: &MeritOrder, at: Time) -> v1::QuoteResponse {
    let market = |id| engine.market(id).map_or_else(String::new, |market| market.name.to_string());
    let offers = merit_order.offers.iter().take(OFFERS_LISTED).map(|candidate| v1::QuotedOffer {
        provider: provider_name(engine, candidate.provider),
        offer: candidate.offer.to_string(),
        market: market(candidate.market),
        price: candidate.price.picodollars(),
        predicted_wall_us: candidate.wall_us,
        predicted_cold_us: candidate.cold_us,
        predicted_billed_ms: candidate.billed_ms,
        predicted_cost: candidate.cost.picodollars(),
        worst_cost: candidate.worst_cost.picodollars(),
        timeout_ms: candidate.timeout_ms,
        source: source_to_proto(candidate.source).into(),
        predicted_cost_of_answer: (candidate.cost_of_answer < Money::MAX)
            .then(|| candidate.cost_of_answer.picodollars()),
        success_percent: candidate.success_percent,
    });
    let (visible, hidden): (Vec<&Refused>, Vec<&Refused>) =
        merit_order.refused.iter().partition(|refused| refused.visible);
    let refused = visible.iter().take(OFFERS_LISTED).map(|refused| v1::RefusedOffer {
        provider: provider_name(engine, refused.provider),
        offer: refused.offer.to_string(),
        market: market(refused.market),
        code: refused.reason.code().to_owned(),
        message: refused.reason.to_string(),
    });
    let mut more: BTreeMap<&str, u32> = BTreeMap::new();
    // One reason for all that the account may not see: another would tell of its market.
    let counted = visible.iter().skip(OFFERS_LISTED).map(|refused| &refused.reason);
    for reason in counted.chain(hidden.iter().map(|_| &Reason::NotAllowed)) {
        *more.entry(reason.code()).or_default() += 1;
    }
    v1::QuoteResponse {
        revision: merit_order.revision,
        sequence: engine.sequence(),
        at: at.micros(),
        offers: offers.collect(),
        refused: refused.collect(),
        more_offers: merit_order.offers.len().saturating_sub(OFFERS_LISTED) as u32,
        more_refused: more.into_iter().map(|(code, count)| v1::RefusedCount { code: code.to_owned(), count }).collect(),
    }
}
