//! `merit book`: the offers of a market and its resting bids, level by level.

use merit_terms::MarketName;

use crate::client::{self, Client};
use crate::output::{Output, cells, objects, print_json, print_table, text};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The market, such as local/wasm
    market: MarketName,
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    let book = client.get(&format!("/v1/markets/{}/book", arguments.market)).await?;
    if arguments.output == Output::Json {
        print_json(&book);
        return Ok(());
    }
    println!(
        "{}: {}, spot price {}, last price {} USD per GB-s, at sequence {}",
        text(&book, "market"),
        text(&book, "state"),
        text(&book, "spot_price"),
        text(&book, "last_price"),
        text(&book, "sequence")
    );
    if let Some(bands) = book.get("bands").filter(|bands| !bands.is_null()) {
        println!("offers from {} to {} USD per GB-s", text(bands, "low"), text(bands, "high"));
    }
    let columns = [("price USD/GB-s", true), ("capacity MB", true), ("free MB", true), ("offers", true)];
    let row = |level| cells(level, ["price", "capacity_mb", "free_mb", "offers"]);
    print_table(&columns, objects(&book, "offers").iter().map(row));
    let bids = objects(&book, "bids");
    if !bids.is_empty() {
        println!();
        let columns = [("limit USD/GB-s", true), ("wanted MB", true), ("bids", true)];
        print_table(&columns, bids.iter().map(|level| cells(level, ["price", "memory_mb", "bids"])));
    }
    Ok(())
}
