//! `merit accounts statement`: the credits and debits of an account.

use merit_terms::Name;

use crate::client::Client;
use crate::output::{Output, cells, objects, print_json, print_table};
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

pub(crate) async fn run(client: &Client, arguments: Arguments, output: Output) -> anyhow::Result<()> {
    let query = arguments.span.query(arguments.limit);
    let statement = client.get(&format!("/v1/accounts/{}/statement?{query}", arguments.id)).await?;
    if output == Output::Json {
        print_json(&statement);
        return Ok(());
    }
    let columns = [
        ("sequence", true),
        ("at", false),
        ("counter account", false),
        ("amount USD", true),
        ("balance USD", true),
        ("why", false),
        ("invocation", false),
    ];
    let fields = ["sequence", "at", "counter_account", "amount", "balance", "why", "invocation_id"];
    print_table(&columns, objects(&statement, "lines").iter().map(|line| cells(line, fields)));
    Ok(())
}
