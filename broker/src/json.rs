//! The JSON shapes of the front doors: amounts as decimal text, times as RFC 3339, unknown fields refused by name.

use merit_proto::v1;
use merit_terms::{Balance, Price, Time};
use rust_decimal::Decimal as Exact;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::error::ApiError;

/// Decimal text of an amount.
pub type Decimal = String;

/// `picodollars` in USD.
pub fn decimal(picodollars: u64) -> Decimal {
    Price::from_picodollars(picodollars).to_string()
}

/// Picodollars of 128 bits, as the exchange writes them, in USD.
pub(crate) fn wide_decimal(picodollars: &str) -> Decimal {
    Balance::from_picodollars(picodollars.parse().unwrap_or(0)).to_string()
}

pub(crate) fn time(micros: u64) -> String {
    Time::from_micros(micros).to_string()
}

/// How a budget stands in its present period.
pub(crate) fn spending(of: &v1::BudgetSpending) -> Value {
    let budget = of.budget.unwrap_or_default();
    json!({
        "period": period(budget.period()),
        "amount": decimal(budget.amount),
        "spent": wide_decimal(&of.spent),
        "held": wide_decimal(&of.held),
    })
}

/// `day`, `month`, or for what never renews `never`.
pub(crate) fn period(period: v1::Period) -> &'static str {
    match period {
        v1::Period::Day => merit_terms::Period::Day.as_str(),
        v1::Period::Month => merit_terms::Period::Month.as_str(),
        v1::Period::Unspecified => "never",
    }
}

pub(crate) fn lease_id(id: Option<v1::LeaseId>) -> String {
    id.map(|id| merit_terms::LeaseId::from(id).to_string()).unwrap_or_default()
}

/// Billed energy, exactly: memory in GB x billed time in s.
fn gb_seconds(memory_mb: u32, billed_ms: u64) -> Decimal {
    energy(Exact::from(memory_mb) * Exact::from(billed_ms))
}

/// MB-ms in GB-s, exactly.
pub(crate) fn energy(mb_ms: impl Into<Exact>) -> Decimal {
    (mb_ms.into() / Exact::from(1024 * 1000)).normalize().to_string()
}

pub(crate) fn tariff(tariff: &v1::Tariff) -> Value {
    json!({
        "per_request": decimal(tariff.per_request),
        "per_gb_second": decimal(tariff.per_gb_second),
        "per_cpu_ms": decimal(tariff.per_cpu_ms),
        "per_gb_egress": decimal(tariff.per_gb_egress),
        "increment_ms": tariff.increment_ms,
        "minimum_ms": tariff.minimum_ms,
        "memory_step_mb": tariff.memory_step_mb,
        "bills_cold_start": tariff.bills_cold_start,
    })
}

pub(crate) fn offer(offer: &v1::Offer) -> Value {
    let rates = offer.tariff.unwrap_or_default();
    json!({
        "offer": offer.offer,
        "provider": offer.provider,
        "price": decimal(offer.price),
        "capacity_mb": offer.capacity_mb,
        "free_mb": offer.free_mb,
        "per_gb_second": decimal(rates.per_gb_second),
        "per_request": decimal(rates.per_request),
    })
}

pub(crate) fn bid_level(level: &v1::BidLevel) -> Value {
    json!({"price": decimal(level.price), "memory_mb": level.memory_mb, "bids": level.bids})
}

pub(crate) fn trade(trade: &v1::Trade) -> Value {
    let mut told = json!({
        "sequence": trade.sequence,
        "match_sequence": trade.match_sequence,
        "at": time(trade.at),
        "provider": trade.provider,
        "price": decimal(trade.price),
        "memory_mb": trade.memory_mb,
        "gb_seconds": gb_seconds(trade.memory_mb, trade.billed_ms),
    });
    if let (Some(invocation), Some(cost)) = (trade.invocation, trade.cost) {
        told["invocation_id"] = json!(lease_id(Some(invocation)));
        told["cost"] = json!(decimal(cost));
    }
    told
}

/// Offer by offer, why none serves a call.
pub(crate) fn refused_offers(quoted: &v1::QuoteResponse) -> Vec<Value> {
    let refused = quoted.refused.iter().map(|offer| {
        json!({
            "provider": offer.provider,
            "offer": offer.offer,
            "market": offer.market,
            "code": offer.code,
            "message": offer.message,
        })
    });
    refused.collect()
}

/// A JSON object of exactly the fields `T` knows; another name is refused with the nearest known one.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], known: &[&str]) -> Result<T, ApiError> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| ApiError::malformed(format!("the body is not JSON: {error}")))?;
    let Value::Object(object) = &value else {
        return Err(ApiError::malformed("the body is not a JSON object"));
    };
    check_fields("", object, known)?;
    typed(value)
}

/// The same, or the default where there is no body.
pub(crate) fn read_or_default<T: DeserializeOwned + Default>(body: &[u8], known: &[&str]) -> Result<T, ApiError> {
    if body.is_empty() { Ok(T::default()) } else { read(body, known) }
}

/// A JSON value as a `T`; a part of another type is refused by its path.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string() {
        path if path == "." => ApiError::malformed(format!("the body is refused: {}", error.inner())),
        path => ApiError::malformed(format!("{path}: {}", error.inner())),
    })
}

/// Refuses a field that is not `known`, naming the nearest that is. `within` is the path of the object.
pub(crate) fn check_fields(within: &str, object: &Map<String, Value>, known: &[&str]) -> Result<(), ApiError> {
    let Some(unknown) = object.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(known, unknown));
    let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
    Err(ApiError::malformed(format!("the field `{within}{unknown}` is not known{hint}")))
}

/// Refuses a field that no budget has, in the `budgets` of a JSON object.
pub(crate) fn check_budgets(of: &Value) -> Result<(), ApiError> {
    let budgets = of.get("budgets").and_then(Value::as_array).into_iter().flatten();
    budgets.filter_map(Value::as_object).try_for_each(|budget| check_fields("budgets.", budget, &["period", "amount"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_exact() {
        assert_eq!(gb_seconds(128, 41), "0.005125");
        assert_eq!(gb_seconds(512, 100), "0.05");
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        let error = typed::<std::collections::BTreeMap<String, u32>>(json!({"memory_mb": -1})).unwrap_err();
        assert!(error.message.starts_with("memory_mb: "), "{}", error.message);
    }

    #[test]
    fn a_mistyped_field_is_answered_with_the_nearest() {
        let error = read::<Value>(br#"{"memory_bm": 1}"#, &["memory_mb", "timeout_ms"]).unwrap_err();
        assert!(error.message.contains("`memory_bm` is not known; did you mean `memory_mb`?"), "{}", error.message);
        assert!(read::<Value>(b"[1]", &[]).unwrap_err().message.contains("not a JSON object"));
        assert!(read::<Value>(b"{", &[]).unwrap_err().message.contains("not JSON"));
    }
}
