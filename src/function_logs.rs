//! `merit logs`: what a function wrote to its standard error, call by call, oldest first.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use merit_terms::{Name, Time};
use serde_json::{Value, json};

use crate::client::{self, Client};
use crate::output::{Format, Kind, Output, in_clear, objects, print_json, say, text};
use crate::time_range;

/// Interval at which `--follow` asks for more.
const EVERY: Duration = Duration::from_secs(1);
/// Most logs in one answer.
const PAGE_MAX: u32 = 1_000;
/// Most logs of the time between two questions; older ones are left out.
const CATCH_UP_MAX: usize = 10_000;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The function
    function: Name,
    /// Go on as further calls end
    #[arg(long, short, conflicts_with = "to")]
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
    let mut following = format!("from={}", now()?);
    let first = latest(&client, &path, &arguments.span.query(arguments.limit), arguments.limit as usize).await?;
    if !arguments.follow && arguments.format.is_json() {
        print_json(&json!({"logs": first}));
        return Ok(());
    }
    let (mut logs, mut trouble) = (first, String::new());
    loop {
        for log in logs.iter().rev() {
            following = format!("after={}", log["sequence"]);
            match arguments.format.output {
                Output::Json => say(&log.to_string()),
                Output::Table => print(log, arguments.format),
            }
        }
        if !arguments.follow {
            return Ok(());
        }
        tokio::time::sleep(EVERY).await;
        logs = match latest(&client, &path, &format!("limit={PAGE_MAX}&{following}"), CATCH_UP_MAX).await {
            Ok(logs) => {
                trouble.clear();
                logs
            }
            // A broker or an exchange that starts again is waited for.
            Err(error) => {
                let error = format!("{error:#}");
                if trouble != error {
                    tracing::warn!("asking again: {error}");
                }
                trouble = error;
                Vec::new()
            }
        };
    }
}

/// Returns the latest logs that a query finds, newest first, at most so many. A page of the broker may have fewer than
/// its limit, and still another one after it.
async fn latest(client: &Client, path: &str, query: &str, most: usize) -> anyhow::Result<Vec<Value>> {
    let (mut logs, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}?{query}{cursor}")).await?;
        logs.extend_from_slice(objects(&page, "logs"));
        let Some(next) = page["next"].as_str().filter(|_| logs.len() < most) else { break };
        cursor = format!("&cursor={next}");
    }
    logs.truncate(most);
    Ok(logs)
}

/// Returns the time from which on logs are followed if there is none yet.
fn now() -> anyhow::Result<Time> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(Time::from_micros(u64::try_from(now.as_micros())?))
}

/// Prints each line of a log after its time, invocation and outcome.
fn print(log: &Value, format: Format) {
    let at = format.said(Kind::Time, &text(log, "at"));
    let head = format!("{at} {} {}", text(log, "invocation_id"), text(log, "outcome"));
    for line in text(log, "log").lines() {
        say(&format!("{head}  {}", in_clear(line)));
    }
}
