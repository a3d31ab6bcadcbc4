//! Names in paths: functions with their qualifiers, accounts, providers, markets.

use merit_terms::{MarketName, Name};

use crate::error::ApiError;
use crate::exchange::leases::lease::Qualifier;

/// Reads `name`, `name:alias` or `name:revision`.
pub(super) fn target(text: &str) -> Result<(Name, Option<Qualifier>), ApiError> {
    let (name, qualifier) = match text.split_once(':') {
        None => (text, None),
        Some((name, qualifier)) => (name, Some(qualifier)),
    };
    let qualifier = match qualifier {
        None => None,
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
            Some(Qualifier::Number(text.parse().map_err(|_| malformed(text, "not a revision"))?))
        }
        Some(text) => {
            let alias: Name = text.parse().map_err(|error| malformed(text, error))?;
            Some(Qualifier::Alias(alias.to_string()))
        }
    };
    let name = name.parse().map_err(|error| malformed(name, error))?;
    Ok((name, qualifier))
}

fn malformed(text: &str, error: impl std::fmt::Display) -> ApiError {
    ApiError::malformed(format!("the path's `{text}`: {error}"))
}

/// Reads the name of a function, an alias, an account or a provider.
pub(super) fn path_name(text: &str) -> Result<String, ApiError> {
    text.parse::<Name>().map(|name| name.to_string()).map_err(|error| malformed(text, error))
}

/// Reads the name of a market by its region and class.
pub(super) fn path_market(region: &str, class: &str) -> Result<String, ApiError> {
    let text = format!("{region}/{class}");
    text.parse::<MarketName>()
        .map(|name| name.to_string())
        .map_err(|error| ApiError::malformed(format!("the path's market: {error}")))
}
