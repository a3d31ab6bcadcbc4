//! `merit journal replay`: the state after one of the commands.

use merit_engine::Engine;
use merit_exchange::history;
use serde_json::json;

use super::DataDir;
use crate::output::Kind::{Number, Text, Usd};
use crate::output::{Format, Output, print_json, print_table};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DataDir,
    /// Sequence of the last command to replay [default: the last of all]
    #[arg(long, value_name = "SEQUENCE")]
    to: Option<u64>,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let replayed = history::replay_to(arguments.data.path()?, arguments.to)?;
    match arguments.format.output {
        Output::Json => print_json(&summary(&replayed.engine, replayed.began_after)),
        Output::Table => print(&replayed.engine, replayed.began_after, arguments.format),
    }
    Ok(())
}

fn summary(engine: &Engine, began_after: u64) -> serde_json::Value {
    let accounts = engine.accounts().map(|(_, account)| {
        json!({
            "name": account.name,
            "balance": account.balance.to_string(),
            "held": merit_terms::Balance::from_picodollars(account.held.try_into().unwrap_or(i128::MAX)).to_string(),
        })
    });
    let markets = engine.markets().map(|(id, market)| {
        json!({
            "name": market.name.to_string(),
            "offers": engine.book(id).len(),
            "trades": market.trades,
            "last_price": market.last_price.map(|price| price.to_string()),
        })
    });
    json!({
        "sequence": engine.sequence(),
        "at": engine.last_at().to_string(),
        "digest": format!("{:032x}", engine.digest()),
        "replayed_after": began_after,
        "run": engine.run(),
        "rules": engine.rules(),
        "accounts": accounts.collect::<Vec<_>>(),
        "markets": markets.collect::<Vec<_>>(),
        "providers": engine.providers().count(),
        "providers_online": engine.providers().filter(|(_, provider)| provider.online).count(),
        "functions": engine.functions().count(),
        "open_leases": engine.open_leases().count(),
        "resting_bids": engine.resting().count(),
        "balance_sum": engine.balance_sum().to_string(),
    })
}

fn print(engine: &Engine, began_after: u64, format: Format) {
    println!("sequence {} at {}, run {}, rules {}", engine.sequence(), engine.last_at(), engine.run(), engine.rules());
    println!("digest {:032x}, replayed from sequence {began_after}", engine.digest());
    println!(
        "{} functions, {} providers, {} open leases, {} resting bids",
        engine.functions().count(),
        engine.providers().count(),
        engine.open_leases().count(),
        engine.resting().count()
    );
    println!();
    let rows = engine.accounts().map(|(_, account)| vec![account.name.clone(), account.balance.to_string()]);
    format.print_table(&[("account", Text), ("balance", Usd)], rows);
    println!();
    let rows = engine.markets().map(|(id, market)| {
        vec![market.name.to_string(), engine.book(id).len().to_string(), market.trades.to_string()]
    });
    print_table(&[("market", Text), ("offers", Number), ("trades", Number)], rows);
}
