//! `merit functions`: the functions of an account, and changes of one.

pub(crate) mod settings;

use anyhow::bail;
use clap::Subcommand;
use http::Method;
use merit_terms::Name;
use serde_json::{Map, Value, json};

use crate::client::{self, Client};
use crate::output::Kind::{Number, Text};
use crate::output::{Format, objects, print_done, print_json, print_table, text};
use settings::{SettingArguments, shown};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show this one in full, as JSON; without a name all are listed
    name: Option<String>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// List the functions
    List,
    /// Show one in full, as JSON
    Show { name: Name },
    /// Change some settings of a function; those not named stay
    Set(Box<Change>),
    /// Delete a function
    Delete { name: Name },
}

#[derive(clap::Args)]
struct Change {
    name: Name,
    #[command(flatten)]
    settings: SettingArguments,
    /// Retry a call whose outcome is unknown; it may run twice
    #[arg(long, value_name = "true|false")]
    idempotent: Option<bool>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (client, format) = (Client::new(&arguments.broker)?, arguments.format);
    match (arguments.command, arguments.name) {
        (None | Some(Command::List), None) => list(&client, format).await,
        (None, Some(name)) => show(&client, &name).await,
        (Some(Command::Show { name }), None) => show(&client, name.as_str()).await,
        (Some(Command::Set(change)), None) => set(&client, &change, format).await,
        (Some(Command::Delete { name }), None) => {
            let done = client.json(Method::DELETE, &format!("/v1/functions/{name}"), &[], "").await?;
            print_done(format, &done, &format!("{name} is deleted"));
            Ok(())
        }
        (Some(_), Some(name)) => bail!("the name `{name}` stands before the subcommand; it goes behind it"),
    }
}

async fn show(client: &Client, name: &str) -> anyhow::Result<()> {
    print_json(&client.get(&format!("/v1/functions/{name}")).await?);
    Ok(())
}

/// Returns every function, page by page.
async fn every(client: &Client) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut path = "/v1/functions?limit=1000".to_owned();
    loop {
        let page = client.get(&path).await?;
        all.extend_from_slice(objects(&page, "functions"));
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/functions?limit=1000&cursor={next}"),
            None => return Ok(all),
        }
    }
}

async fn list(client: &Client, format: Format) -> anyhow::Result<()> {
    let functions = every(client).await?;
    if format.is_json() {
        print_json(&json!({"functions": functions}));
        return Ok(());
    }
    let columns = [
        ("name", Text),
        ("revision", Number),
        ("memory MB", Number),
        ("timeout ms", Number),
        ("providers", Text),
        ("idempotent", Text),
        ("module", Text),
    ];
    print_table(
        &columns,
        functions.iter().map(|function| {
            let mut row = ["name", "revision", "memory_mb", "timeout_ms", "providers", "idempotent"]
                .map(|field| text(function, field))
                .to_vec();
            row.push(text(function, "module").chars().take(12).collect());
            row
        }),
    );
    Ok(())
}

/// Sends a patch of the settings that are named, and prints them as they are then.
async fn set(client: &Client, change: &Change, format: Format) -> anyhow::Result<()> {
    let path = format!("/v1/functions/{}", change.name);
    let present = client.get(&path).await?;
    let mut patch = change.settings.patch(&present);
    if let Some(idempotent) = change.idempotent {
        patch.insert("idempotent".to_owned(), json!(idempotent));
    }
    if patch.is_empty() {
        bail!("name a setting to change, such as --budget-day 1.50; see `merit functions set --help`");
    }
    let function = client.send(Method::PATCH, &path, &Value::Object(patch.clone())).await?;
    if format.is_json() {
        print_json(&function);
        return Ok(());
    }
    let revision = format!("revision {}", text(&function, "revision"));
    print_table(&[(change.name.as_str(), Text), (&revision, Text)], rows("", &patch, &function));
    Ok(())
}

/// Lists the fields of a patch by their paths, with their values in the function.
fn rows(within: &str, patch: &Map<String, Value>, function: &Value) -> Vec<Vec<String>> {
    let row = |(name, field): (&String, &Value)| match (field, &function[name]) {
        (Value::Object(fields), value @ Value::Object(_)) => rows(&format!("{within}{name}."), fields, value),
        (_, value) => vec![vec![format!("{within}{name}"), shown(name, value)]],
    };
    patch.iter().flat_map(row).collect()
}
