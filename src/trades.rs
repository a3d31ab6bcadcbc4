//! `merit trades`: a market's tape.

use merit_terms::MarketName;

use crate::client::{self, Client};
use crate::output::Kind::{Number, Price, Text, Time};
use crate::output::{Format, cells, objects, print_json};
use crate::time_range;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The market, such as local/wasm
    market: MarketName,
    #[command(flatten)]
    span: time_range::Arguments,
    /// Number of trades, newest first; at most 1000
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    let query = arguments.span.query(arguments.limit);
    let tape = client.get(&format!("/v1/markets/{}/trades?{query}", arguments.market)).await?;
    if arguments.format.is_json() {
        print_json(&tape);
        return Ok(());
    }
    let columns = [
        ("sequence", Number),
        ("match", Number),
        ("at", Time),
        ("provider", Text),
        ("price", Price),
        ("memory MB", Number),
        ("GB-s", Number),
    ];
    let fields = ["sequence", "match_sequence", "at", "provider", "price", "memory_mb", "gb_seconds"];
    arguments.format.print_table(&columns, objects(&tape, "trades").iter().map(|trade| cells(trade, fields)));
    Ok(())
}
