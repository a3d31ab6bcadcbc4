//! `merit status`: the readiness of the broker, its markets, and its sellers. Fails if the broker does not serve calls.

use anyhow::bail;
use http::Method;
use serde_json::{Value, json};

use crate::client::{self, Answer, Client};
use crate::output::Kind::{Number, Price, Text};
use crate::output::{Format, cells, objects, print_json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    let ready = client.call(Method::GET, "/readyz", &[], "").await?;
    let is_ready = ready.status.is_success();
    // Both come from the exchange, which may be what is missing.
    let (markets, providers) = match is_ready {
        true => (client.get("/v1/markets").await?, client.get("/v1/providers").await?),
        false => (Value::Null, Value::Null),
    };
    let (markets, providers) = (objects(&markets, "markets"), objects(&providers, "providers"));
    let online = providers.iter().filter(|provider| provider["online"] == true).count();
    let why = reason(&ready);
    if arguments.format.is_json() {
        let sellers = json!({"online": online, "known": providers.len()});
        let mut told = json!({"broker": client.base(), "ready": is_ready, "markets": markets, "providers": sellers});
        if !is_ready {
            told["reason"] = json!(why);
        }
        print_json(&told);
    }
    if !is_ready {
        bail!("the broker at {} does not serve calls: {why}", client.base());
    }
    if arguments.format.is_json() {
        return Ok(());
    }
    println!("the broker at {} serves calls", client.base());
    println!("{online} of {} sellers are online", providers.len());
    if markets.is_empty() {
        println!("there is no market yet; `merit markets create REGION/CLASS` makes one");
        return Ok(());
    }
    println!();
    let columns = [("market", Text), ("state", Text), ("spot price", Price), ("free MB", Number), ("of MB", Number)];
    let row = |market: &Value| cells(market, ["market", "state", "spot_price", "free_mb", "capacity_mb"]);
    arguments.format.print_table(&columns, markets.iter().map(row));
    Ok(())
}

/// Returns the sentence of an error, or its status where it has none.
fn reason(answer: &Answer) -> String {
    let error = answer.error_json().unwrap_or_default();
    error["error"]["message"].as_str().map_or_else(|| answer.status.to_string(), str::to_owned)
}
