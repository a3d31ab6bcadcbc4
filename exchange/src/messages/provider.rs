//! Providers as messages and back: kind, adapter and limits.

use merit_engine as engine;
use merit_proto::{FieldError, v1};
use merit_terms::{Adapter, Money, TargetPattern};

use super::field::{money, parse};

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

/// Reads an adapter by its number. An unknown one is refused, never taken for another.
pub(crate) fn adapter_from_proto(adapter: i32) -> Result<Adapter, FieldError> {
    match v1::Adapter::try_from(adapter) {
        Ok(adapter) => Ok(adapter.into()),
        Err(unknown) => Err(FieldError::new("adapter", unknown)),
    }
}

pub(crate) fn targets_to_proto(targets: &[TargetPattern]) -> v1::Targets {
    v1::Targets { patterns: targets.iter().map(ToString::to_string).collect() }
}

pub(crate) fn targets_from_proto(targets: &v1::Targets) -> Result<Vec<TargetPattern>, FieldError> {
    targets.patterns.iter().map(|pattern| parse("targets", pattern)).collect()
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
