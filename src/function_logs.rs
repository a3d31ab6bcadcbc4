//! `merit logs`: what a function wrote to its standard error, call by call, oldest first.

use std::time::Duration;

use merit_terms::Name;
use serde_json::Value;

use crate::client::{self, Client};
use crate::output::{Format, Output, in_clear, objects, print_json, say, text};
use crate::time_range;

/// Interval at which `--follow` asks for more.
const EVERY: Duration = Duration::from_secs(1);
/// Most logs in one answer.
const PAGE_MAX: u32 = 1_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The function
    function: Name,
    /// Go on as further calls end
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    span: time_range::Arguments,
    /// Number of calls that wrote anything, the newest; at most 1000
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// With --follow, JSON is one call a line
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    let path = format!("/v1/functions/{}/logs", arguments.function);
    let first = client.get(&format!("{path}?{}", arguments.span.query(arguments.limit))).await?;
    if !arguments.follow {
        match arguments.format.output {
            Output::Json => print_json(&first),
            Output::Table => objects(&first, "logs").iter().rev().for_each(print),
        }
        return Ok(());
    }
    let mut page = objects(&first, "logs").to_vec();
    let mut newest = 0;
    loop {
        for log in page.iter().rev() {
            newest = log["sequence"].as_u64().unwrap_or(newest);
            match arguments.format.output {
                Output::Json => say(&log.to_string()),
                Output::Table => print(log),
            }
        }
        tokio::time::sleep(EVERY).await;
        page = since(&client, &path, newest).await?;
    }
}

/// Returns all logs after a sequence, newest first.
async fn since(client: &Client, path: &str, after: u64) -> anyhow::Result<Vec<Value>> {
    let (mut logs, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}?limit={PAGE_MAX}&after={after}{cursor}")).await?;
        logs.extend_from_slice(objects(&page, "logs"));
        let Some(next) = page["next"].as_str() else { return Ok(logs) };
        cursor = format!("&cursor={next}");
    }
}

/// Prints each line of a log after its time, invocation and outcome.
fn print(log: &Value) {
    let head = format!("{} {} {}", text(log, "at"), text(log, "invocation_id"), text(log, "outcome"));
    for line in text(log, "log").lines() {
        say(&format!("{head}  {}", in_clear(line)));
    }
}
