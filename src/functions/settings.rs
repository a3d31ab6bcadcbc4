//! Settings of a function on the command line: a merge patch of what is named, and their text.

use serde_json::{Map, Value, json};

use crate::or_none::{OrNone, amount, number, price};
use crate::output::{objects, text};

/// The settings that `merit functions set` and `merit deploy` may name. Those not named stay.
#[derive(clap::Args)]
pub(crate) struct SettingArguments {
    /// Memory of each invocation, in MB
    #[arg(long)]
    memory_mb: Option<u32>,
    /// Timeout of each invocation, in ms
    #[arg(long)]
    timeout_ms: Option<u32>,
    /// Providers that may run it: any, own, or names separated by commas
    #[arg(long)]
    providers: Option<String>,
    /// Markets in which it may run, such as local/wasm or eu-*/wasm; or any
    #[arg(long = "market")]
    markets: Vec<String>,
    /// Most calls of this function at once; or none
    #[arg(long, value_name = "N", value_parser = number)]
    max_concurrency: Option<OrNone>,
    /// Make it public: anybody may call /function/NAME.ACCOUNT, RATE times a second, on your account; or none
    #[arg(long, value_name = "RATE", value_parser = number)]
    public: Option<OrNone>,
    /// Keep the end of what its calls write to their standard error, for `merit logs`
    #[arg(long, value_name = "true|false")]
    logs: Option<bool>,
    /// The most that its calls may cost in a UTC day, in USD; or none
    #[arg(long, alias = "day-budget", value_name = "USD", value_parser = amount)]
    budget_day: Option<OrNone>,
    /// The most that its calls may cost in a UTC month, in USD; or none
    #[arg(long, alias = "month-budget", value_name = "USD", value_parser = amount)]
    budget_month: Option<OrNone>,
    /// The most that a call may cost, in USD; or none
    #[arg(long, value_name = "USD", value_parser = amount)]
    max_cost: Option<OrNone>,
    /// The highest price of a call, in USD per GB-s; or none
    #[arg(long, value_name = "USD", value_parser = price)]
    max_price: Option<OrNone>,
    /// The longest predicted time of a call, in ms; or none
    #[arg(long, value_name = "MS", value_parser = number)]
    max_latency_ms: Option<OrNone>,
    /// The only providers that it may run at, separated by commas; or none
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Providers that it never runs at, separated by commas; or none
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    ignore: Vec<String>,
    /// A label of the function, such as team=media
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// A label to take away
    #[arg(long, value_name = "NAME")]
    remove_label: Vec<String>,
    /// An environment variable of the function
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,
    /// An environment variable to take away
    #[arg(long, value_name = "NAME")]
    remove_env: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl SettingArguments {
    /// Returns a merge patch of what is named. A budget that is not named stays as it is at `present`.
    pub(crate) fn patch(&self, present: &Value) -> Map<String, Value> {
        let limit = |limit: &Option<OrNone>| limit.as_ref().map(|OrNone(limit)| limit.clone());
        let public = self.public.as_ref().map(|OrNone(rate)| match rate {
            Value::Null => Value::Null,
            rate => json!({"requests_per_second": rate}),
        });
        let limits = named([
            ("max_cost", limit(&self.max_cost)),
            ("max_price", limit(&self.max_price)),
            ("max_latency_ms", limit(&self.max_latency_ms)),
            ("only", list(&self.only, "none")),
            ("ignore", list(&self.ignore, "none")),
        ]);
        named([
            ("memory_mb", self.memory_mb.map(|memory| json!(memory))),
            ("timeout_ms", self.timeout_ms.map(|timeout| json!(timeout))),
            ("providers", self.providers.as_deref().map(providers)),
            ("markets", list(&self.markets, "any")),
            ("max_concurrency", limit(&self.max_concurrency)),
            ("public", public),
            ("logs", self.logs.map(|logs| json!(logs))),
            ("budgets", self.budgets(present)),
            ("limits", some(limits)),
            ("labels", some(entries(&self.labels, &self.remove_label))),
            ("environment", some(entries(&self.environment, &self.remove_env))),
        ])
    }

    /// Returns all budgets if one of them is named: a patch replaces the list.
    fn budgets(&self, present: &Value) -> Option<Value> {
        let asked = [("day", &self.budget_day), ("month", &self.budget_month)];
        asked.iter().any(|(_, budget)| budget.is_some()).then(|| {
            let stands = |period| objects(present, "budgets").iter().find(|budget| budget["period"] == period);
            let amount = |(period, asked): (&'static str, &Option<OrNone>)| {
                let amount = match asked {
                    Some(OrNone(amount)) => amount.clone(),
                    None => stands(period)?["amount"].clone(),
                };
                (!amount.is_null()).then(|| json!({"period": period, "amount": amount}))
            };
            asked.into_iter().filter_map(amount).collect()
        })
    }
}

fn named<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn some(fields: Map<String, Value>) -> Option<Value> {
    (!fields.is_empty()).then_some(Value::Object(fields))
}

/// Returns the names that are given; `null` for the word that stands for no list.
fn list(names: &[String], empty: &str) -> Option<Value> {
    match names {
        [] => None,
        [word] if word == empty => Some(Value::Null),
        names => Some(json!(names)),
    }
}

fn providers(text: &str) -> Value {
    match text {
        word @ ("any" | "own") => json!(word),
        names => json!(names.split(',').map(str::trim).collect::<Vec<_>>()),
    }
}

fn entries(set: &[(String, String)], removed: &[String]) -> Map<String, Value> {
    let removed = removed.iter().map(|name| (name.clone(), Value::Null));
    removed.chain(set.iter().map(|(name, value)| (name.clone(), json!(value)))).collect()
}

/// Returns the text of a setting.
pub(crate) fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Array(markets) if name == "markets" && markets.is_empty() => "any".to_owned(),
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(|item| shown(name, item)).collect::<Vec<_>>().join(", "),
        Value::Object(budget) if budget.contains_key("period") => {
            format!("{} USD a {}", text(value, "amount"), text(value, "period"))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "../../tests/unit/functions/settings.rs"]
mod tests;
