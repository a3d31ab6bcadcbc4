//! `merit candles`: a market's spot price and volume, interval by interval.

use clap::ValueEnum;
use merit_terms::MarketName;

use crate::client::{self, Client};
use crate::output::Kind::{Number, Price, Time};
use crate::output::{Format, cells, objects, print_json};
use crate::time_range;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The market, such as local/wasm
    market: MarketName,
    /// Length of a candle
    #[arg(long, value_enum, default_value = "1m")]
    interval: Interval,
    #[command(flatten)]
    span: time_range::Arguments,
    /// Number of candles, the latest; at most 1500
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum Interval {
    #[value(name = "1s")]
    Second,
    #[value(name = "1m")]
    Minute,
    #[value(name = "1h")]
    Hour,
    #[value(name = "1d")]
    Day,
}

impl Interval {
    const fn as_str(self) -> &'static str {
        match self {
            Interval::Second => "1s",
            Interval::Minute => "1m",
            Interval::Hour => "1h",
            Interval::Day => "1d",
        }
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    let (market, interval) = (&arguments.market, arguments.interval.as_str());
    let query = arguments.span.query(arguments.limit);
    let candles = client.get(&format!("/v1/markets/{market}/candles?interval={interval}&{query}")).await?;
    if arguments.format.is_json() {
        print_json(&candles);
        return Ok(());
    }
    let columns = [
        ("at", Time),
        ("open", Price),
        ("high", Price),
        ("low", Price),
        ("close", Price),
        ("GB-s", Number),
        ("trades", Number),
    ];
    let row = |candle| cells(candle, ["at", "open", "high", "low", "close", "gb_seconds", "trades"]);
    arguments.format.print_table(&columns, objects(&candles, "candles").iter().map(row));
    Ok(())
}
