//! `merit exchange clock`: the market's time beside the exchange's clock, and the acceptance of a clock that was set.

use clap::Subcommand;
use http::Method;
use serde_json::Value;

use crate::client::{self, Client};
use crate::output::{Format, print_done, print_json, text};

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
    /// Show the market's time and the exchange's clock
    Show,
    /// Follow a clock that was set by more than a minute
    Accept,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (client, format) = (Client::new(&arguments.broker)?, arguments.format);
    match arguments.command {
        Command::Show => {
            let report = client.get("/v1/clock").await?;
            match format.is_json() {
                true => print_json(&report),
                false => print_done(format, &report, &sentence(&report)),
            }
        }
        Command::Accept => {
            let report = client.json(Method::POST, "/v1/clock/accept", &[], "").await?;
            print_done(format, &report, &sentence(&report));
        }
    }
    Ok(())
}

fn sentence(report: &Value) -> String {
    let (at, clock) = (text(report, "at"), text(report, "clock"));
    let followed = match report["refused"].as_bool() {
        Some(true) => "the clock was set, and is not followed: set it right, or `merit exchange clock accept`",
        _ => "the clock is followed",
    };
    format!("market {at}, clock {clock}: {followed}")
}
