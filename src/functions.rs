//! `merit functions`: the functions of an account.

use crate::client::{self, Client};
use crate::output::{Output, objects, print_json, print_table, text};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Show this one in full, as JSON
    name: Option<String>,
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    if let Some(name) = &arguments.name {
        print_json(&client.get(&format!("/v1/functions/{name}")).await?);
        return Ok(());
    }
    let listed = client.get("/v1/functions").await?;
    if arguments.output == Output::Json {
        print_json(&listed);
        return Ok(());
    }
    let columns = [
        ("name", false),
        ("revision", true),
        ("memory MB", true),
        ("timeout ms", true),
        ("providers", false),
        ("idempotent", false),
        ("module", false),
    ];
    print_table(
        &columns,
        objects(&listed, "functions").iter().map(|function| {
            let mut row = ["name", "revision", "memory_mb", "timeout_ms", "providers", "idempotent"]
                .map(|field| text(function, field))
                .to_vec();
            row.push(text(function, "module").chars().take(12).collect());
            row
        }),
    );
    Ok(())
}
