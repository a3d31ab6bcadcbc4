//! Changes of a definition that is there: a patch of some fields, and a `PUT` that must not reset others unsaid.

use serde_json::{Value, json};

use super::definition::{Definition, FIELDS, new_code};
use super::function_rows::definition_json;
use crate::error::{ApiError, ErrorCode};
use crate::exchange::functions::{Code, Function, FunctionSettings};
use crate::json::merge;

/// The field that a `PUT` keeps where it does not name it.
const KEPT: &str = "module";

/// Returns the definition of a function after a merge patch.
pub(super) fn patched(function: &Function, patch: Value) -> Result<(Code, FunctionSettings), ApiError> {
    let mut fields = definition_json(function);
    merge(&mut fields, patch);
    let definition = Definition::of(fields)?;
    let (code, mut settings) = (definition.code()?, definition.settings()?);
    // Limits that no definition has a field for.
    if let (Some(before), Some(after)) = (&function.settings.limits, &mut settings.limits) {
        after.markets.clone_from(&before.markets);
        after.labels.clone_from(&before.labels);
    }
    Ok((code, settings))
}

/// Refuses a definition that would reset fields that are set and that it does not name.
pub(super) fn check_reset(function: &Function, named: &Value) -> Result<(), ApiError> {
    let new = Function { revisions: vec![new_code()], ..Function::default() };
    let (present, new) = (definition_json(function), definition_json(&new));
    let is_reset = |field: &&str| *field != KEPT && named.get(field).is_none() && present[*field] != new[*field];
    let reset: Vec<&str> = FIELDS.into_iter().filter(is_reset).collect();
    if reset.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the definition would reset what is set and what it does not name: {}. Name them, or change some fields alone \
         with PATCH, or put with ?reset=true",
        reset.join(", ")
    );
    Err(ApiError::new(ErrorCode::WouldReset, message).with(json!({"fields": reset})))
}

#[cfg(test)]
#[path = "../../../tests/unit/doors/api/definition_change.rs"]
mod tests;
