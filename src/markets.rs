//! `merit markets`: the markets, and their terms, set by the operator.

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use http::Method;
use merit_terms::{MarketName, Price};
use serde_json::{Value, json};

use crate::client::{self, Client};
use crate::output::Kind::{self, Number, Text};
use crate::output::{Format, cells, objects, print_done, print_json, text};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// List the markets
    List,
    /// Create a market
    Create(NamedTerms),
    /// Change the terms of a market; those not named stay
    Set(NamedTerms),
    /// Delete a market in which nobody sells
    Delete { market: MarketName },
}

/// A market and its terms.
#[derive(clap::Args)]
struct NamedTerms {
    /// The market, such as eu-west/wasm
    market: MarketName,
    /// The state; a new market is open
    #[arg(long, value_enum)]
    state: Option<State>,
    /// The least and the greatest price of an offer, in USD per GB-s, such as 0.000001..0.0001; or none
    #[arg(long, value_parser = bands)]
    bands: Option<Value>,
    /// Let accounts buy from their own market providers
    #[arg(long)]
    self_dealing: Option<bool>,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum State {
    Open,
    /// Offers can only be cancelled; nothing matches
    CancelOnly,
    /// Offers can be quoted and cancelled; nothing matches
    Halted,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::CancelOnly => "cancel_only",
            State::Halted => "halted",
        }
    }
}

/// Parses bands to JSON; `null` for none.
fn bands(text: &str) -> anyhow::Result<Value> {
    if text == "none" {
        return Ok(Value::Null);
    }
    let Some((low, high)) = text.split_once("..") else {
        bail!("two prices, such as 0.000001..0.0001, or none");
    };
    let price = |text: &str| text.parse::<Price>().with_context(|| format!("`{text}`"));
    Ok(json!({"low": price(low)?, "high": price(high)?}))
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (client, format) = (Client::new(&arguments.broker)?, arguments.format);
    match arguments.command {
        Command::List => list(&client, format).await,
        Command::Create(asked) => create(&client, asked, format).await,
        Command::Set(asked) => set(&client, asked, format).await,
        Command::Delete { market } => {
            let done = client.json(Method::DELETE, &format!("/v1/markets/{market}"), &[], "").await?;
            print_done(format, &done, &format!("the market {market} is deleted"));
            Ok(())
        }
    }
}

async fn list(client: &Client, format: Format) -> anyhow::Result<()> {
    let listed = client.get("/v1/markets").await?;
    if format.is_json() {
        print_json(&listed);
        return Ok(());
    }
    let columns = [
        ("market", Text),
        ("state", Text),
        ("spot price", Kind::Price),
        ("last price", Kind::Price),
        ("offers", Number),
        ("capacity MB", Number),
        ("free MB", Number),
        ("trades", Number),
        ("bands from", Kind::Price),
        ("to", Kind::Price),
        ("self-dealing", Text),
    ];
    let row = |market: &Value| {
        let facts = ["market", "state", "spot_price", "last_price", "offers", "capacity_mb", "free_mb", "trades"];
        let mut row = cells(market, facts);
        row.extend(cells(&market["bands"], ["low", "high"]));
        row.extend(cells(market, ["self_dealing"]));
        row
    };
    format.print_table(&columns, objects(&listed, "markets").iter().map(row));
    Ok(())
}

impl NamedTerms {
    /// Puts the terms that were given into `terms`.
    fn put_into(self, terms: &mut Value) {
        if let Some(state) = self.state {
            terms["state"] = json!(state.as_str());
        }
        if let Some(bands) = self.bands {
            terms["bands"] = bands;
        }
        if let Some(self_dealing) = self.self_dealing {
            terms["self_dealing"] = json!(self_dealing);
        }
    }
}

async fn create(client: &Client, asked: NamedTerms, format: Format) -> anyhow::Result<()> {
    let name = asked.market.to_string();
    let mut market = json!({"market": name});
    asked.put_into(&mut market);
    let done = client.send(Method::POST, "/v1/markets", &market).await?;
    print_done(format, &done, &format!("the market {name} is made: {}", terms_text(&done)));
    Ok(())
}

/// Reads the market's terms and sets those that were given.
async fn set(client: &Client, asked: NamedTerms, format: Format) -> anyhow::Result<()> {
    let name = asked.market.to_string();
    let listed = client.get("/v1/markets").await?;
    let mut terms = json!({});
    if let Some(now) = objects(&listed, "markets").iter().find(|market| market["market"] == name.as_str()) {
        terms = json!({"state": now["state"], "bands": now["bands"], "self_dealing": now["self_dealing"]});
    }
    asked.put_into(&mut terms);
    let done = client.send(Method::PUT, &format!("/v1/markets/{name}"), &terms).await?;
    print_done(format, &done, &format!("the market {name} is set: {}", terms_text(&done)));
    Ok(())
}

fn terms_text(market: &Value) -> String {
    let self_dealing = if market["self_dealing"] == true { ", self-dealing" } else { "" };
    format!("{}, bands {}{self_dealing}", text(market, "state"), bands_text(market).as_deref().unwrap_or("none"))
}

/// Returns the bands as they are typed.
fn bands_text(market: &Value) -> Option<String> {
    let bands = &market["bands"];
    Some(format!("{}..{}", bands["low"].as_str()?, bands["high"].as_str()?))
}

#[cfg(test)]
#[path = "../tests/unit/markets.rs"]
mod tests;
