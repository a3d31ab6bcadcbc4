//! The terms of a market, as the operator sets them: state, price bands, self-dealing.

use std::sync::Arc;

use axum::extract::State;
use merit_terms::{Price, RefusalCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::rows::{JsonAnswer, accepted};
use crate::broker::Broker;
use crate::caller::Operator;
use crate::doors::names::path_market;
use crate::doors::request::{Path, Sent};
use crate::error::ApiError;
use crate::exchange::markets::{Bands, MarketState, MarketTerms};
use crate::json::{check_fields, decimal, read_or_default, typed};

#[derive(Deserialize)]
struct TermsBody {
    #[serde(default)]
    state: StateField,
    bands: Option<BandsField>,
    #[serde(default)]
    self_dealing: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateField {
    #[default]
    Open,
    CancelOnly,
    Halted,
}

#[derive(Deserialize)]
struct BandsField {
    low: Price,
    high: Price,
}

impl TermsBody {
    fn read(body: &[u8]) -> Result<TermsBody, ApiError> {
        let object: Map<String, Value> = read_or_default(body, &["state", "bands", "self_dealing"])?;
        if let Some(Value::Object(bands)) = object.get("bands") {
            check_fields("bands.", bands, &["low", "high"])?;
        }
        typed(Value::Object(object))
    }

    fn terms(&self) -> MarketTerms {
        MarketTerms {
            state: match self.state {
                StateField::Open => MarketState::Open,
                StateField::CancelOnly => MarketState::CancelOnly,
                StateField::Halted => MarketState::Halted,
            },
            bands: self
                .bands
                .as_ref()
                .map(|bands| Bands { low: bands.low.picodollars(), high: bands.high.picodollars() }),
            self_dealing: self.self_dealing,
        }
    }
}

/// Makes a market, or replaces the terms of one that is there. A term that is left out is as in a new market.
pub(crate) async fn put(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path((region, class)): Path<(String, String)>,
    Sent(body): Sent,
) -> JsonAnswer {
    let (name, terms) = (path_market(&region, &class)?, TermsBody::read(&body)?.terms());
    match broker.exchange.create_market(name.clone()).await {
        Ok(sequence) if terms == MarketTerms::default() => return Ok(accepted(sequence)),
        Ok(_) => {}
        Err(error) if error.code == RefusalCode::AlreadyExists.into() => {}
        Err(error) => return Err(error),
    }
    Ok(accepted(broker.exchange.set_market(name, terms).await?))
}

/// Adds the terms to the JSON of a market.
pub(super) fn tell(market: &mut Value, terms: MarketTerms) {
    market["state"] = json!(match terms.state {
        MarketState::Open => "open",
        MarketState::CancelOnly => "cancel_only",
        MarketState::Halted => "halted",
    });
    let bands = terms.bands.map(|bands| json!({"low": decimal(bands.low), "high": decimal(bands.high)}));
    market["bands"] = json!(bands);
    market["self_dealing"] = json!(terms.self_dealing);
}
