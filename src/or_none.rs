//! Limits on the command line: a value, or `none`.

use merit_terms::{Money, Price};
use serde_json::{Value, json};

/// JSON of a limit; `null` for none.
#[derive(Clone)]
pub(crate) struct OrNone(pub(crate) Value);

pub(crate) fn number(text: &str) -> Result<OrNone, String> {
    or_none(text, |number: u32| json!(number))
}

pub(crate) fn amount(text: &str) -> Result<OrNone, String> {
    or_none(text, |amount: Money| json!(amount))
}

pub(crate) fn price(text: &str) -> Result<OrNone, String> {
    or_none(text, |price: Price| json!(price))
}

fn or_none<T: std::str::FromStr<Err: ToString>>(text: &str, json: impl Fn(T) -> Value) -> Result<OrNone, String> {
    match text {
        "none" => Ok(OrNone(Value::Null)),
        text => text.parse().map(|limit| OrNone(json(limit))).map_err(|error: T::Err| error.to_string()),
    }
}
