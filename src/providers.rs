//! `merit providers`: the providers and their state, and the operator's hand on them.

use clap::Subcommand;
use http::Method;
use merit_terms::{Name, TargetPattern};
use serde_json::{Value, json};

use crate::client::{self, Client};
use crate::output::Kind::{Number, Text, Usd};
use crate::output::{Format, cells, objects, print_done, print_json, text};

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
    /// List the providers
    List,
    /// Register a provider; it logs on with a `provider` key of the account
    Open {
        name: Name,
        /// The account that is paid
        #[arg(long)]
        account: Name,
    },
    /// Cancel a provider's offers and end its session, until `merit providers revive NAME`
    Kill {
        name: Name,
        /// The reason, which the provider is told
        #[arg(long)]
        reason: String,
    },
    /// Let a killed provider sell again
    Revive { name: Name },
    /// Replace the targets that functions may name at a function server, beside those below its endpoint
    Targets {
        name: Name,
        /// URLs, such as https://fn.example/resize, or https://fn.example/* for all below; or none
        #[arg(required = true, value_name = "PATTERN", value_parser = pattern)]
        patterns: Vec<Pattern>,
    },
}

/// A pattern of targets, or the word for no pattern.
#[derive(Clone)]
enum Pattern {
    None,
    Of(TargetPattern),
}

fn pattern(text: &str) -> Result<Pattern, String> {
    match text {
        "none" => Ok(Pattern::None),
        text => text.parse().map(Pattern::Of).map_err(|error: merit_terms::TargetPatternError| error.to_string()),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (client, format) = (Client::new(&arguments.broker)?, arguments.format);
    match arguments.command {
        Command::List => list(&client, format).await,
        Command::Open { name, account } => {
            let asked = json!({"name": name, "account": account, "kind": "market"});
            let done = client.send(Method::POST, "/v1/providers", &asked).await?;
            print_done(format, &done, &format!("{name} may sell for {account}"));
            Ok(())
        }
        Command::Kill { name, reason } => {
            let path = format!("/v1/providers/{name}/kill");
            let done = client.send(Method::POST, &path, &json!({"reason": reason})).await?;
            print_done(format, &done, &format!("{name} sells nothing until `merit providers revive {name}`"));
            Ok(())
        }
        Command::Revive { name } => {
            let done = client.send(Method::POST, &format!("/v1/providers/{name}/revive"), &json!({})).await?;
            print_done(format, &done, &format!("{name} may sell again"));
            Ok(())
        }
        Command::Targets { name, patterns } => {
            let patterns: Vec<String> = patterns.iter().filter_map(Pattern::text).collect();
            let path = format!("/v1/providers/{name}/targets");
            let done = client.send(Method::PUT, &path, &json!({"targets": patterns})).await?;
            let beside = if patterns.is_empty() { String::new() } else { format!(", and {}", patterns.join(", ")) };
            print_done(format, &done, &format!("functions may name targets below the endpoint of {name}{beside}"));
            Ok(())
        }
    }
}

impl Pattern {
    fn text(&self) -> Option<String> {
        match self {
            Pattern::None => None,
            Pattern::Of(pattern) => Some(pattern.to_string()),
        }
    }
}

async fn list(client: &Client, format: Format) -> anyhow::Result<()> {
    let listed = client.get("/v1/providers").await?;
    if format.is_json() {
        print_json(&listed);
        return Ok(());
    }
    let providers = objects(&listed, "providers");
    let columns = [
        ("name", Text),
        ("account", Text),
        ("kind", Text),
        ("online", Text),
        ("offers", Number),
        ("leases", Number),
        ("exposure", Usd),
        ("labels", Text),
        ("trouble", Text),
    ];
    let row = |provider: &Value| {
        let mut row = cells(provider, ["name", "account", "kind", "online", "offers"]);
        let leases = objects(provider, "pools").iter().filter_map(|pool| pool["leases"].as_u64());
        row.push(leases.sum::<u64>().to_string());
        row.push(text(provider, "exposure"));
        row.push(labels(provider));
        row.push(trouble(provider));
        row
    };
    format.print_table(&columns, providers.iter().map(row));
    Ok(())
}

/// Returns the labels that the operator granted and those that it claims.
fn labels(provider: &Value) -> String {
    let fields = ["labels", "claimed_labels"].into_iter().filter_map(|field| provider[field].as_object());
    let label = |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or_default());
    let all: Vec<String> = fields.flatten().map(label).collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

/// Returns the reason why it sells less than it could.
fn trouble(provider: &Value) -> String {
    let killed = provider["killed"].as_str().map(|reason| format!("killed: {reason}"));
    let left_out = objects(provider, "health")
        .iter()
        .map(|health| format!("until {}: {}", text(health, "until"), text(health, "reason")));
    killed.into_iter().chain(left_out).collect::<Vec<_>>().join("; ")
}
