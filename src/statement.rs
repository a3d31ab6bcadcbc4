//! `merit accounts statement`: the credits and debits of an account.

use merit_terms::Name;

use crate::client::Client;
use crate::output::Kind::{Number, Text, Time, Usd};
use crate::output::{Format, cells, objects, print_json};
use crate::time_range;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    id: Name,
    #[command(flatten)]
    span: time_range::Arguments,
    /// Number of lines, newest first; at most 1000
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

pub(crate) async fn run(client: &Client, arguments: Arguments, format: Format) -> anyhow::Result<()> {
    let query = arguments.span.query(arguments.limit);
    let statement = client.get(&format!("/v1/accounts/{}/statement?{query}", arguments.id)).await?;
    if format.is_json() {
        print_json(&statement);
        return Ok(());
    }
    let columns = [
        ("sequence", Number),
        ("at", Time),
        ("counter account", Text),
        ("amount", Usd),
        ("balance", Usd),
        ("why", Text),
        ("invocation", Text),
    ];
    let fields = ["sequence", "at", "counter_account", "amount", "balance", "why", "invocation_id"];
    format.print_table(&columns, objects(&statement, "lines").iter().map(|line| cells(line, fields)));
    Ok(())
}
