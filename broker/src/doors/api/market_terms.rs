//! What the operator allows in a market: its state, its price bands, self-dealing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_proto::v1;
use merit_terms::Price;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::caller::Operator;
use crate::doors::request::{Path, Sent};
use crate::doors::{accepted, path_market};
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{check_fields, decimal, read_or_default, typed};
use crate::server::State as Broker;

#[derive(Deserialize)]
struct Terms {
    #[serde(default)]
    state: MarketState,
    bands: Option<Bands>,
    #[serde(default)]
    self_dealing: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MarketState {
    #[default]
    Open,
    CancelOnly,
    Halted,
}

#[derive(Deserialize)]
struct Bands {
    low: Price,
    high: Price,
}

impl Terms {
    fn read(body: &[u8]) -> Result<Terms, ApiError> {
        let object: Map<String, Value> = read_or_default(body, &["state", "bands", "self_dealing"])?;
        if let Some(Value::Object(bands)) = object.get("bands") {
            check_fields("bands.", bands, &["low", "high"])?;
        }
        typed(Value::Object(object))
    }

    fn message(&self) -> v1::MarketTerms {
        let state = match self.state {
            MarketState::Open => v1::MarketState::Open,
            MarketState::CancelOnly => v1::MarketState::CancelOnly,
            MarketState::Halted => v1::MarketState::Halted,
        };
        let bands =
            |bands: &Bands| v1::market_terms::Bands { low: bands.low.picodollars(), high: bands.high.picodollars() };
        v1::MarketTerms { state: state.into(), bands: self.bands.as_ref().map(bands), self_dealing: self.self_dealing }
    }
}

/// Makes a market, or replaces the terms of one that is there; what is left out is as in a new one.
pub(crate) async fn put(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path((region, class)): Path<(String, String)>,
    Sent(body): Sent,
) -> Result<Json<Value>, ApiError> {
    let (name, terms) = (path_market(&region, &class)?, Terms::read(&body)?.message());
    let mut operator = broker.exchange.operator.clone();
    match answer(operator.create_market(v1::CreateMarketRequest { name: name.clone() })).await {
        Ok(created) if terms == new_market() => return Ok(Json(json!({"sequence": created.sequence}))),
        Ok(_) => {}
        Err(error) if error.code == "already_exists" => {}
        Err(error) => return Err(error),
    }
    accepted(operator.set_market(v1::SetMarketRequest { name, terms: Some(terms) })).await
}

fn new_market() -> v1::MarketTerms {
    v1::MarketTerms { state: v1::MarketState::Open.into(), bands: None, self_dealing: false }
}

/// Adds the terms to what is told of a market.
pub(crate) fn tell(market: &mut Value, terms: Option<v1::MarketTerms>) {
    let terms = terms.unwrap_or_default();
    market["state"] = json!(match terms.state() {
        v1::MarketState::Unspecified => "",
        v1::MarketState::Open => "open",
        v1::MarketState::CancelOnly => "cancel_only",
        v1::MarketState::Halted => "halted",
    });
    let bands = terms.bands.map(|bands| json!({"low": decimal(bands.low), "high": decimal(bands.high)}));
    market["bands"] = json!(bands);
    market["self_dealing"] = json!(terms.self_dealing);
}
