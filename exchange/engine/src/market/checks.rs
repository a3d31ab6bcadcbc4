//! Bounds of definitions, and the refusals of wrong and unknown ones.

use std::collections::BTreeMap;

use merit_terms::{
    Budget, FunctionId, MEMORY_MAX_MB, MarketId, MarketName, MarketPattern, ProviderId, Refusal, TIMEOUT_MAX_MS,
};

use crate::command::{Audience, PutFunction};

/// Maximum labels, markets, deployments or listed providers of one definition.
const LABELS_MAX: usize = 64;
/// Maximum length of a name and its text together, in bytes.
const TEXT_MAX_BYTES: usize = 4096;
/// Maximum length of a deployment's target, in bytes.
const TARGET_MAX_BYTES: usize = 1024;

pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::Invalid { field: field.into(), message: message.into() }
}

/// Maximum public rate limit, in calls a second: the capacity of one broker.
const PUBLIC_PER_SECOND_MAX: u32 = 10_000;

/// Maximum length of an operator's reason, in bytes.
const REASON_MAX_BYTES: usize = 256;

/// Refuses a reason that is too long.
pub(crate) fn check_reason(reason: &str) -> Result<(), Refusal> {
    match reason.len() {
        0..=REASON_MAX_BYTES => Ok(()),
        bytes => Err(invalid("reason", format!("{bytes} bytes; at most {REASON_MAX_BYTES}"))),
    }
}

/// Refuses two budgets of one period.
pub(crate) fn check_budgets(budgets: &[Budget]) -> Result<(), Refusal> {
    let twice = |(i, budget): (usize, &Budget)| budgets[..i].iter().any(|other| other.period == budget.period);
    match budgets.iter().enumerate().any(twice) {
        true => Err(invalid("budgets", "at most one a day and one a month")),
        false => Ok(()),
    }
}

/// Returns whether `market` fits any of the patterns, or there are none.
pub(crate) fn within(patterns: &[MarketPattern], market: &MarketName) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(market))
}

/// Refuses texts by name that are too many or too long.
pub(super) fn check_texts(field: &'static str, texts: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if texts.len() > LABELS_MAX {
        return Err(invalid(field, format!("{} entries; at most {LABELS_MAX}", texts.len())));
    }
    match texts.iter().find(|(name, value)| name.is_empty() || name.len() + value.len() > TEXT_MAX_BYTES) {
        Some((name, _)) => {
            Err(invalid(format!("{field}.{name}"), format!("an entry is 1 to {TEXT_MAX_BYTES} bytes, with a name")))
        }
        None => Ok(()),
    }
}

/// Refuses one more of `present` beyond `most`.
pub(crate) fn within_limit(limit: &'static str, present: u32, most: u32) -> Result<(), Refusal> {
    if present < most { Ok(()) } else { Err(Refusal::OverLimit { limit, most: most.into() }) }
}

pub(crate) fn unknown_provider(id: ProviderId) -> Refusal {
    Refusal::Unknown { what: "provider", name: id.number().to_string() }
}

pub(super) fn unknown_market(id: MarketId) -> Refusal {
    Refusal::Unknown { what: "market", name: id.number().to_string() }
}

pub(crate) fn unknown_function(id: FunctionId) -> Refusal {
    Refusal::Unknown { what: "function", name: id.number().to_string() }
}

/// Refuses a function out of bounds.
pub(super) fn check_function(command: &PutFunction) -> Result<(), Refusal> {
    let (code, settings) = (&command.code, &command.settings);
    if !(1..=MEMORY_MAX_MB).contains(&code.memory_mb) {
        return Err(invalid("memory_mb", format!("{} is not within 1 to {MEMORY_MAX_MB}", code.memory_mb)));
    }
    if !(1..=TIMEOUT_MAX_MS).contains(&code.timeout_ms) {
        return Err(invalid("timeout_ms", format!("{} is not within 1 to {TIMEOUT_MAX_MS}", code.timeout_ms)));
    }
    if settings.max_concurrency == Some(0) {
        return Err(invalid("max_concurrency", "0 would let nothing run; leave it out for no limit"));
    }
    if settings.public_per_second.is_some_and(|rate| !(1..=PUBLIC_PER_SECOND_MAX).contains(&rate)) {
        let message =
            format!("1 to {PUBLIC_PER_SECOND_MAX} calls a second; leave it out for a function that is not public");
        return Err(invalid("public.requests_per_second", message));
    }
    check_texts("environment", &code.environment)?;
    check_texts("labels", &settings.labels)?;
    settings.limits.check().map_err(|error| invalid("limits", error.to_string()))?;
    check_budgets(&settings.budgets)?;
    if settings.markets.len() > LABELS_MAX || code.deployments.len() > LABELS_MAX {
        return Err(invalid("markets", format!("at most {LABELS_MAX} markets and deployments")));
    }
    if let Some((name, target)) = code.deployments.iter().find(|(_, target)| target.len() > TARGET_MAX_BYTES) {
        let message = format!("{} bytes; at most {TARGET_MAX_BYTES}", target.len());
        return Err(invalid(format!("deployments.{name}"), message));
    }
    if let Audience::Listed(names) = &settings.audience
        && names.len() > LABELS_MAX
    {
        return Err(invalid("providers", format!("at most {LABELS_MAX} providers")));
    }
    Ok(())
}
