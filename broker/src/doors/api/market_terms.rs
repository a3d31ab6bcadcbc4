//! Markets as the operator makes, changes and deletes them: state, price bands, self-dealing.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_terms::{MarketName, Price, RefusalCode};
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

/// Terms, and the name of a market that is to be made.
#[derive(Deserialize)]
struct TermsBody {
    market: Option<MarketName>,
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

const TERMS: [&str; 3] = ["state", "bands", "self_dealing"];

impl TermsBody {
    fn read(body: &[u8], known: &[&str]) -> Result<TermsBody, ApiError> {
        let object: Map<String, Value> = read_or_default(body, known)?;
        if let Some(Value::Object(bands)) = object.get("bands") {
            check_fields("bands.", bands, &["low", "high"])?;
        }
        typed(Value::Object(object))
    }

    /// Returns the terms. Refuses bands that no price is within: a market would be made before they are refused.
    fn terms(&self) -> Result<MarketTerms, ApiError> {
        if let Some(BandsField { low, high }) = self.bands.as_ref().filter(|bands| bands.low > bands.high) {
            return Err(ApiError::new(RefusalCode::Invalid, format!("bands: {low} is above {high}")));
        }
        Ok(MarketTerms {
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
        })
    }
}

/// Makes a market. Refuses a name that is taken.
pub(crate) async fn create(State(broker): State<Arc<Broker>>, _: Operator, Sent(body): Sent) -> JsonAnswer {
    let asked = TermsBody::read(&body, &["market", "state", "bands", "self_dealing"])?;
    let terms = asked.terms()?;
    let name = asked.market.ok_or_else(|| ApiError::malformed("market: its name is missing, such as eu-west/wasm"))?;
    let made = broker.exchange.create_market(name.to_string()).await?;
    let sequence = match terms == MarketTerms::default() {
        true => made,
        false => broker.exchange.set_market(name.to_string(), terms).await?,
    };
    Ok(told(sequence, name.as_str(), terms))
}

/// Replaces the terms of a market. A term that is left out is as in a new market.
pub(crate) async fn put(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path((region, class)): Path<(String, String)>,
    Sent(body): Sent,
) -> JsonAnswer {
    let (name, terms) = (path_market(&region, &class)?, TermsBody::read(&body, &TERMS)?.terms()?);
    match broker.exchange.set_market(name.clone(), terms).await {
        Ok(sequence) => Ok(told(sequence, &name, terms)),
        Err(error) if error.code == RefusalCode::NotFound.into() => {
            let after = if error.message.ends_with('?') { "" } else { ";" };
            let message = format!("{}{after} `POST /v1/markets`, or `merit markets create`, makes one", error.message);
            Err(ApiError { message, ..error })
        }
        Err(error) => Err(error),
    }
}

/// Deletes a market. Refuses while it has offers, running calls, or deferred bids that can be matched nowhere else.
pub(crate) async fn delete(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path((region, class)): Path<(String, String)>,
) -> JsonAnswer {
    Ok(accepted(broker.exchange.delete_market(path_market(&region, &class)?).await?))
}

fn told(sequence: u64, market: &str, terms: MarketTerms) -> Json<Value> {
    let mut told = json!({"sequence": sequence, "market": market});
    tell(&mut told, terms);
    Json(told)
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
