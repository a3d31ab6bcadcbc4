//! `merit book`: the offers of a market and its resting bids, level by level.

use merit_terms::MarketName;
use serde_json::Value;

use crate::client::{self, Client};
use crate::output::Kind::{Number, Price};
use crate::output::{Format, cells, objects, print_json, text};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The market, such as local/wasm
    market: MarketName,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    let book = client.get(&format!("/v1/markets/{}/book", arguments.market)).await?;
    if arguments.format.is_json() {
        print_json(&book);
        return Ok(());
    }
    let price = |value: &Value, field| arguments.format.with_unit(Price, &text(value, field));
    println!(
        "{}: {}, spot price {}, last price {}, at sequence {}",
        text(&book, "market"),
        text(&book, "state"),
        price(&book, "spot_price"),
        price(&book, "last_price"),
        text(&book, "sequence")
    );
    if let Some(bands) = book.get("bands").filter(|bands| !bands.is_null()) {
        println!("offers from {} to {}", price(bands, "low"), price(bands, "high"));
    }
    let columns = [("price", Price), ("capacity MB", Number), ("free MB", Number), ("offers", Number)];
    let row = |level| cells(level, ["price", "capacity_mb", "free_mb", "offers"]);
    arguments.format.print_table(&columns, objects(&book, "offers").iter().map(row));
    let bids = objects(&book, "bids");
    if !bids.is_empty() {
        println!();
        let columns = [("limit", Price), ("wanted MB", Number), ("bids", Number)];
        arguments.format.print_table(&columns, bids.iter().map(|level| cells(level, ["price", "memory_mb", "bids"])));
    }
    Ok(())
}
