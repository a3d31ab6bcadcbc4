//! `merit status`: whether the broker serves calls, its markets, and its sellers.

use http::Method;
use serde_json::{Value, json};

use crate::client::{self, Client};
use crate::output::Kind::{Number, Price, Text};
use crate::output::{Format, cells, objects, print_json, text};

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
    let (markets, providers) = (client.get("/v1/markets").await?, client.get("/v1/providers").await?);
    let (markets, providers) = (objects(&markets, "markets"), objects(&providers, "providers"));
    let is_ready = ready.status.is_success();
    let online = providers.iter().filter(|provider| provider["online"] == true).count();
    if arguments.format.is_json() {
        let sellers = json!({"online": online, "known": providers.len()});
        print_json(&json!({"broker": client.base(), "ready": is_ready, "markets": markets, "providers": sellers}));
        return Ok(());
    }
    let why = String::from_utf8_lossy(&ready.body);
    let state = if is_ready { "serves calls".to_owned() } else { format!("does not serve calls: {}", reason(&why)) };
    println!("the broker at {} {state}", client.base());
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

/// Returns the sentence of an error answer.
fn reason(body: &str) -> String {
    let error: Value = serde_json::from_str(body).unwrap_or_default();
    text(&error["error"], "message")
}
