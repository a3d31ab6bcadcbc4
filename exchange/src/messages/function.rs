//! Functions as messages and back: code, settings and canaries.

use std::collections::BTreeMap;

use merit_engine as engine;
use merit_proto::{FieldError, v1};
use merit_terms::Name;

use super::field::parse;

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

/// Reads the digest of a module; none for empty bytes.
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
        logs_off: settings.logs_off,
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
        logs_off: settings.logs_off,
    })
}
