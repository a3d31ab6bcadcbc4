//! `merit logs`: what a function wrote to its standard error, call by call, oldest first.

use std::time::Duration;

use http::StatusCode;
use merit_terms::Name;
use serde_json::{Value, json};

use crate::client::{self, BrokerError, Client};
use crate::output::{Format, Kind, Output, in_clear, objects, print_json, print_json_line, say, text};
use crate::time_range;

/// Polling interval of `--follow`.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Maximum number of logs in one answer.
const PAGE_MAX: u32 = 1_000;
/// Maximum number of logs between two polls; older ones are skipped.
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
    /// Number of logs, newest; at most 1000
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
    let first = newest(&client, &path, &arguments.span.query(arguments.limit), arguments.limit as usize).await?;
    if !arguments.follow && arguments.format.is_json() {
        print_json(&json!({"logs": first}));
        return Ok(());
    }
    let (mut logs, mut trouble) = (first, String::new());
    let mut query = arguments.span.query(PAGE_MAX);
    loop {
        for log in logs.iter().rev() {
            query = format!("limit={PAGE_MAX}&after={}", log["sequence"]);
            match arguments.format.output {
                Output::Json => print_json_line(log),
                Output::Table => print(log, arguments.format),
            }
        }
        if !arguments.follow {
            return Ok(());
        }
        tokio::time::sleep(POLL_EVERY).await;
        logs = match newest(&client, &path, &query, CATCH_UP_MAX).await {
            Ok(logs) => {
                trouble.clear();
                if logs.len() == CATCH_UP_MAX {
                    tracing::warn!("more than {CATCH_UP_MAX} calls wrote logs meanwhile; older ones are skipped");
                }
                logs
            }
            Err(error) if is_final(&error) => return Err(error),
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

/// Returns whether the same query would be refused again.
fn is_final(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<BrokerError>().map(|error| error.status);
    status.is_some_and(|status| status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS)
}

/// Returns the newest logs of a query, at most `most`. A page of the broker may have fewer than its limit, and still
/// another one after it.
async fn newest(client: &Client, path: &str, query: &str, most: usize) -> anyhow::Result<Vec<Value>> {
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

/// Prints each line of a log after its time, invocation and outcome.
fn print(log: &Value, format: Format) {
    let at = format.with_unit(Kind::Time, &text(log, "at"));
    let head = format!("{at} {} {}", text(log, "invocation_id"), text(log, "outcome"));
    for line in text(log, "log").lines() {
        say(&format!("{head}  {}", in_clear(line)));
    }
}
