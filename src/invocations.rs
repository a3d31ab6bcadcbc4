//! `merit invocations`: the calls of an account, newest first, or the record of one.

use merit_terms::{LeaseId, Name, Outcome};
use serde_json::Value;

use crate::client::{self, Client};
use crate::decision::millis;
use crate::output::Kind::{Cost, Number, Text, Time};
use crate::output::{Format, cells, objects, print_json, text};
use crate::time_range;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Show this one in full, as JSON; without an id they are listed
    id: Option<LeaseId>,
    /// Only calls of this function
    #[arg(long)]
    function: Option<Name>,
    /// Only calls that executed and ended like this: ok, exit, trap, out_of_memory, timeout or output_limit
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Only calls in this state: waiting, running, settled, failed, expired or cancelled
    #[arg(long)]
    state: Option<Name>,
    #[command(flatten)]
    span: time_range::Arguments,
    /// Number of calls, newest first; at most 1000
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Cursor of the next page, as the last one printed it
    #[arg(long)]
    cursor: Option<u64>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    Outcome::parse(text).ok_or_else(|| format!("one of {}", Outcome::ALL.map(Outcome::as_str).join(", ")))
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    if let Some(id) = arguments.id {
        print_json(&client.get(&format!("/v1/invocations/{id}")).await?);
        return Ok(());
    }
    let mut query = arguments.span.query(arguments.limit);
    let parts = [
        ("function", arguments.function.map(|name| name.to_string())),
        ("outcome", arguments.outcome.map(|outcome| outcome.to_string())),
        ("state", arguments.state.map(|state| state.to_string())),
        ("cursor", arguments.cursor.map(|cursor| cursor.to_string())),
    ];
    for (name, value) in parts {
        query.extend(value.map(|value| format!("&{name}={value}")));
    }
    let listed = client.get(&format!("/v1/invocations?{query}")).await?;
    if arguments.format.is_json() {
        print_json(&listed);
        return Ok(());
    }
    print_list(&listed, arguments.format);
    Ok(())
}

/// Prints calls newest first: when, what it was, where it ran, how it ended, what it took and cost.
fn print_list(listed: &Value, format: Format) {
    let columns = [
        ("invocation", Text),
        ("at", Time),
        ("function", Text),
        ("provider", Text),
        ("state", Text),
        ("outcome", Text),
        ("wall ms", Number),
        ("billed ms", Number),
        ("cost", Cost),
    ];
    let row = |record: &Value| {
        let attempts = objects(record, "attempts");
        let executed = attempts.iter().find(|attempt| attempt["outcome"] == "executed");
        let provider = executed.or(attempts.last()).map_or("-".to_owned(), |attempt| text(attempt, "provider"));
        let usage = &record["usage"];
        let wall_ms = usage["wall_us"].as_u64().map_or("-".to_owned(), millis);
        let mut row = cells(record, ["id", "submitted_at", "function"]);
        row.push(provider);
        row.extend(cells(record, ["state", "outcome"]));
        row.push(wall_ms);
        row.push(text(usage, "billed_ms"));
        row.push(text(record, "cost"));
        row
    };
    format.print_table(&columns, objects(listed, "invocations").iter().map(row));
    if let Some(next) = listed["next"].as_str() {
        println!("older ones: --cursor {next}");
    }
}
