//! The engine's values as messages and back, for records and services.

use std::collections::BTreeMap;

use merit_engine as engine;
use merit_proto::v1;
use merit_proto::{FieldError, required};
use merit_terms::{AccountId, FunctionId, MarketId, Money, Name, Price, ProviderId, Time};

pub(super) fn parse<T: std::str::FromStr<Err: ToString>>(field: &str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|error: T::Err| FieldError::new(field, error.to_string()))
}

pub(crate) fn money(field: &str, picodollars: u64) -> Result<Money, FieldError> {
    Money::from_picodollars(picodollars).ok_or_else(|| FieldError::new(field, format!("more than {}", Money::MAX)))
}

pub(crate) fn kind_to_proto(kind: engine::ProviderKind) -> v1::ProviderKind {
    match kind {
        engine::ProviderKind::Own => v1::ProviderKind::Own,
        engine::ProviderKind::Market => v1::ProviderKind::Market,
    }
}

pub(crate) fn kind_from_proto(kind: v1::ProviderKind) -> Result<engine::ProviderKind, FieldError> {
    match kind {
        v1::ProviderKind::Own => Ok(engine::ProviderKind::Own),
        v1::ProviderKind::Market => Ok(engine::ProviderKind::Market),
        v1::ProviderKind::Unspecified => Err(FieldError::new("kind", "is missing")),
    }
}

pub(crate) fn adapter_to_proto(adapter: engine::Adapter) -> v1::Adapter {
    match adapter {
        engine::Adapter::Agent => v1::Adapter::Agent,
        engine::Adapter::Http => v1::Adapter::Http,
    }
}

/// By its number: one that is not known is refused, never taken for another.
pub(crate) fn adapter_from_proto(adapter: i32) -> Result<engine::Adapter, FieldError> {
    match v1::Adapter::try_from(adapter) {
        Ok(v1::Adapter::Agent) => Ok(engine::Adapter::Agent),
        Ok(v1::Adapter::Http) => Ok(engine::Adapter::Http),
        Err(unknown) => Err(FieldError::new("adapter", unknown)),
    }
}

pub(crate) fn canary_to_proto(canary: engine::Canary) -> v1::Canary {
    v1::Canary { revision: canary.revision, weight: canary.weight }
}

pub(crate) fn canary_from_proto(canary: v1::Canary) -> engine::Canary {
    engine::Canary { revision: canary.revision, weight: canary.weight }
}

pub(crate) fn code_to_proto(code: &engine::Code) -> v1::Code {
    v1::Code {
        memory_mb: code.memory_mb,
        timeout_ms: code.timeout_ms,
        environment: code.environment.clone(),
        module: code.module.map(|digest| digest.to_vec()).unwrap_or_default(),
        deployments: code.deployments.iter().map(|(name, target)| (name.to_string(), target.clone())).collect(),
    }
}

pub(crate) fn code_from_proto(code: v1::Code) -> Result<engine::Code, FieldError> {
    let deployments = code.deployments.into_iter().map(|(name, target)| Ok((parse("deployments", &name)?, target)));
    Ok(engine::Code {
        memory_mb: code.memory_mb,
        timeout_ms: code.timeout_ms,
        environment: code.environment,
        module: digest_from_proto(&code.module)?,
        deployments: deployments.collect::<Result<BTreeMap<Name, String>, FieldError>>()?,
    })
}

/// The digest of a module; empty bytes: none.
pub(crate) fn digest_from_proto(bytes: &[u8]) -> Result<Option<[u8; 32]>, FieldError> {
    match bytes.len() {
        0 => Ok(None),
        _ => bytes.try_into().map(Some).map_err(|_| FieldError::new("module", "a SHA-256 digest has 32 bytes")),
    }
}

pub(crate) fn settings_to_proto(settings: &engine::FunctionSettings) -> v1::FunctionSettings {
    use v1::audience::Kind;
    let (kind, providers) = match &settings.audience {
        engine::Audience::Own => (Kind::Own, Vec::new()),
        engine::Audience::Any => (Kind::Any, Vec::new()),
        engine::Audience::Listed(names) => (Kind::Listed, names.iter().map(ToString::to_string).collect()),
    };
    v1::FunctionSettings {
        idempotent: settings.idempotent,
        audience: Some(v1::Audience { kind: kind.into(), providers }),
        markets: settings.markets.iter().map(ToString::to_string).collect(),
        max_concurrency: settings.max_concurrency,
        labels: settings.labels.clone(),
        limits: Some((&settings.limits).into()),
        budgets: settings.budgets.iter().map(Into::into).collect(),
        public_per_second: settings.public_per_second,
    }
}

pub(crate) fn settings_from_proto(settings: v1::FunctionSettings) -> Result<engine::FunctionSettings, FieldError> {
    use v1::audience::Kind;
    let audience = settings.audience.unwrap_or_default();
    let names = |texts: &[String]| texts.iter().map(|text| parse("providers", text)).collect::<Result<_, _>>();
    Ok(engine::FunctionSettings {
        idempotent: settings.idempotent,
        audience: match audience.kind() {
            Kind::Unspecified | Kind::Own => engine::Audience::Own,
            Kind::Any => engine::Audience::Any,
            Kind::Listed => engine::Audience::Listed(names(&audience.providers)?),
        },
        markets: settings.markets.iter().map(|text| parse("markets", text)).collect::<Result<_, _>>()?,
        max_concurrency: settings.max_concurrency,
        labels: settings.labels,
        limits: settings.limits.as_ref().map(TryInto::try_into).transpose()?.unwrap_or_default(),
        budgets: settings.budgets.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        public_per_second: settings.public_per_second,
    })
}

pub(crate) fn qualifier_to_proto(qualifier: &engine::Qualifier) -> Option<v1::Qualifier> {
    use v1::qualifier::Revision;
    let revision = match qualifier {
        engine::Qualifier::Live => return None,
        engine::Qualifier::Revision(number) => Revision::Number(*number),
        engine::Qualifier::Alias(alias) => Revision::Alias(alias.to_string()),
    };
    Some(v1::Qualifier { revision: Some(revision) })
}

pub(crate) fn qualifier_from_proto(qualifier: Option<v1::Qualifier>) -> Result<engine::Qualifier, FieldError> {
    use v1::qualifier::Revision;
    match qualifier.and_then(|qualifier| qualifier.revision) {
        None => Ok(engine::Qualifier::Live),
        Some(Revision::Number(number)) => Ok(engine::Qualifier::Revision(number)),
        Some(Revision::Alias(alias)) => Ok(engine::Qualifier::Alias(parse("alias", &alias)?)),
    }
}

pub(crate) fn market_state_to_proto(state: engine::MarketState) -> v1::MarketState {
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

pub(crate) fn account_limits_to_proto(limits: &engine::AccountLimits) -> v1::AccountLimits {
    v1::AccountLimits {
        credit_limit: limits.credit_limit.picodollars(),
        rate_per_second: limits.rate_per_second,
        exposure: limits.exposure.map(Money::picodollars),
        max_concurrency: limits.max_concurrency,
        budgets: limits.budgets.iter().map(Into::into).collect(),
    }
}

pub(crate) fn account_limits_from_proto(limits: &v1::AccountLimits) -> Result<engine::AccountLimits, FieldError> {
    Ok(engine::AccountLimits {
        credit_limit: money("credit_limit", limits.credit_limit)?,
        rate_per_second: limits.rate_per_second,
        exposure: limits.exposure.map(|most| money("exposure", most)).transpose()?,
        max_concurrency: limits.max_concurrency,
        budgets: limits.budgets.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
    })
}

pub(crate) fn provider_limits_to_proto(limits: &engine::ProviderLimits) -> v1::ProviderLimits {
    v1::ProviderLimits {
        offers: limits.offers,
        quotes_per_second: limits.quotes_per_second,
        exposure: limits.exposure.map(Money::picodollars),
    }
}

pub(crate) fn provider_limits_from_proto(limits: &v1::ProviderLimits) -> Result<engine::ProviderLimits, FieldError> {
    Ok(engine::ProviderLimits {
        offers: limits.offers,
        quotes_per_second: limits.quotes_per_second,
        exposure: limits.exposure.map(|most| money("exposure", most)).transpose()?,
    })
}

pub(crate) fn request_to_proto(request: engine::BrokerRequest) -> v1::BrokerRequest {
    v1::BrokerRequest { session: request.session, number: request.number }
}

pub(crate) fn request_from_proto(request: v1::BrokerRequest) -> engine::BrokerRequest {
    engine::BrokerRequest { session: request.session, number: request.number }
}

pub(crate) fn at_deadline_to_proto(then: engine::AtDeadline) -> v1::AtDeadline {
    match then {
        engine::AtDeadline::Expire => v1::AtDeadline::Expire,
        engine::AtDeadline::Market => v1::AtDeadline::Market,
    }
}

pub(crate) fn at_deadline_from_proto(then: v1::AtDeadline) -> Result<engine::AtDeadline, FieldError> {
    match then {
        v1::AtDeadline::Unspecified => Err(FieldError::new("then", "is missing")),
        v1::AtDeadline::Expire => Ok(engine::AtDeadline::Expire),
        v1::AtDeadline::Market => Ok(engine::AtDeadline::Market),
    }
}

pub(crate) fn lease_terms_to_proto(terms: &engine::LeaseTerms) -> v1::LeaseTerms {
    v1::LeaseTerms {
        lease: Some(terms.lease.into()),
        invocation: Some(terms.invocation.into()),
        attempt: terms.attempt,
        account: terms.account.number(),
        function: terms.function.number(),
        revision: terms.revision,
        provider: terms.provider.number(),
        market: terms.market.number(),
        price: terms.price.picodollars(),
        tariff: Some((&terms.tariff).into()),
        vcpus_milli: terms.vcpus_milli,
        memory_mb: terms.memory_mb,
        timeout_ms: terms.timeout_ms,
        hold: terms.hold.picodollars(),
        matched_at: terms.matched_at.micros(),
        settle_by: terms.settle_by.micros(),
    }
}

pub(crate) fn lease_terms_from_proto(terms: &v1::LeaseTerms) -> Result<engine::LeaseTerms, FieldError> {
    Ok(engine::LeaseTerms {
        lease: required("lease", terms.lease)?.into(),
        invocation: required("invocation", terms.invocation)?.into(),
        attempt: terms.attempt,
        account: AccountId::new(terms.account),
        function: FunctionId::new(terms.function),
        revision: terms.revision,
        provider: ProviderId::new(terms.provider),
        market: MarketId::new(terms.market),
        price: Price::from_picodollars(terms.price),
        tariff: required("tariff", terms.tariff.as_ref())?.into(),
        vcpus_milli: terms.vcpus_milli,
        memory_mb: terms.memory_mb,
        timeout_ms: terms.timeout_ms,
        hold: money("hold", terms.hold)?,
        matched_at: Time::from_micros(terms.matched_at),
        settle_by: Time::from_micros(terms.settle_by),
    })
}
