//! `merit book`: what is offered in a market, level by level.

use merit_terms::MarketName;

use crate::client::{self, Client};
use crate::output::{Output, objects, print_json, print_table, text};

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
    let client = Client::new(&arguments.broker);
    let book = client.get(&format!("/v1/markets/{}/book", arguments.market)).await?;
    if arguments.output == Output::Json {
        print_json(&book);
        return Ok(());
    }
    println!(
        "{}: {}, spot price {} USD per GB-s, at sequence {}",
        text(&book, "market"),
        text(&book, "state"),
        text(&book, "spot_price"),
        text(&book, "sequence")
    );
    let columns = [("price USD/GB-s", true), ("capacity MB", true), ("free MB", true), ("offers", true)];
    let row = |level| ["price", "capacity_mb", "free_mb", "offers"].map(|field| text(level, field)).to_vec();
    print_table(&columns, objects(&book, "offers").iter().map(row));
    Ok(())
}
