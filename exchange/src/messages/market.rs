//! Markets as messages and back: state and terms.

use merit_engine as engine;
use merit_proto::{FieldError, v1};
use merit_terms::Price;

fn market_state_to_proto(state: engine::MarketState) -> v1::MarketState {
    match state {
        engine::MarketState::Open => v1::MarketState::Open,
        engine::MarketState::CancelOnly => v1::MarketState::CancelOnly,
        engine::MarketState::Halted => v1::MarketState::Halted,
    }
}

fn market_state_from_proto(state: v1::MarketState) -> Result<engine::MarketState, FieldError> {
    match state {
        v1::MarketState::Unspecified => Err(FieldError::new("state", "is missing")),
        v1::MarketState::Open => Ok(engine::MarketState::Open),
        v1::MarketState::CancelOnly => Ok(engine::MarketState::CancelOnly),
        v1::MarketState::Halted => Ok(engine::MarketState::Halted),
    }
}

pub(crate) fn market_terms_to_proto(terms: &engine::MarketTerms) -> v1::MarketTerms {
    let bands =
        |(low, high): (Price, Price)| v1::market_terms::Bands { low: low.picodollars(), high: high.picodollars() };
    v1::MarketTerms {
        state: market_state_to_proto(terms.state).into(),
        bands: terms.bands.map(bands),
        self_dealing: terms.self_dealing,
    }
}

pub(crate) fn market_terms_from_proto(terms: &v1::MarketTerms) -> Result<engine::MarketTerms, FieldError> {
    let price = Price::from_picodollars;
    Ok(engine::MarketTerms {
        state: market_state_from_proto(terms.state())?,
        bands: terms.bands.as_ref().map(|bands| (price(bands.low), price(bands.high))),
        self_dealing: terms.self_dealing,
    })
}
