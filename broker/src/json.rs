//! JSON of the front doors: amounts as decimal text, times as RFC 3339, unknown fields refused by name.

use merit_terms::Price;
use rust_decimal::Decimal as Exact;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Returns `picodollars` in USD, as decimal text.
pub(crate) fn decimal(picodollars: u64) -> String {
    Price::from_picodollars(picodollars).to_string()
}

/// Returns billed energy in GB-s: memory x billed time, exactly.
pub(crate) fn gb_seconds(memory_mb: u32, billed_ms: u64) -> String {
    energy(Exact::from(memory_mb) * Exact::from(billed_ms))
}

/// Returns MB-ms in GB-s, exactly.
pub(crate) fn energy(mb_ms: impl Into<Exact>) -> String {
    (mb_ms.into() / Exact::from(1024 * 1000)).normalize().to_string()
}

/// Reads a JSON object. Refuses a field that is not `known`, with the nearest known name.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], known: &[&str]) -> Result<T, ApiError> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| ApiError::malformed(format!("the body is not JSON: {error}")))?;
    let Value::Object(object) = &value else {
        return Err(ApiError::malformed("the body is not a JSON object"));
    };
    check_fields("", object, known)?;
    typed(value)
}

/// Reads a JSON object, or returns the default where there is no body.
pub(crate) fn read_or_default<T: DeserializeOwned + Default>(body: &[u8], known: &[&str]) -> Result<T, ApiError> {
    if body.is_empty() { Ok(T::default()) } else { read(body, known) }
}

/// Reads a JSON value as a `T`. Refuses a part of another type by its path.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string() {
        path if path == "." => ApiError::malformed(format!("the body is refused: {}", error.inner())),
        path => ApiError::malformed(format!("{path}: {}", error.inner())),
    })
}

/// Merges a patch into a value, as RFC 7396 has it: objects field by field, `null` removes a field, all else replaces.
pub(crate) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else { return };
    for (name, field) in fields {
        if field.is_null() {
            object.remove(&name);
        } else {
            merge(object.entry(name).or_insert(Value::Null), field);
        }
    }
}

/// Refuses a field that is not `known`, with the nearest known name. `within` is the path of the object.
pub(crate) fn check_fields(within: &str, object: &Map<String, Value>, known: &[&str]) -> Result<(), ApiError> {
    let Some(unknown) = object.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, unknown));
    let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
    Err(ApiError::malformed(format!("the field `{within}{unknown}` is not known{hint}")))
}

/// Refuses unknown fields in the `budgets` of a JSON object.
pub(crate) fn check_budgets(of: &Value) -> Result<(), ApiError> {
    let budgets = of.get("budgets").and_then(Value::as_array).into_iter().flatten();
    budgets.filter_map(Value::as_object).try_for_each(|budget| check_fields("budgets.", budget, &["period", "amount"]))
}

#[cfg(test)]
#[path = "../tests/unit/json.rs"]
mod tests;
