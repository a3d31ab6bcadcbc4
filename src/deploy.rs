//! `merit deploy`: a module and its definition, in one step.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use http::Method;
use merit_terms::Name;
use serde_json::{Map, Value, json};

use crate::client::{self, Client};
use crate::output::{objects, text};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The function's name
    name: Name,
    /// A WebAssembly module: a WASI preview 1 command that reads standard input and writes standard output
    module: PathBuf,
    /// Memory of each invocation, in MB
    #[arg(long, default_value_t = 128)]
    memory_mb: u32,
    /// Timeout of each invocation, in ms
    #[arg(long, default_value_t = 3000)]
    timeout_ms: u32,
    /// Providers that may run it: any, own, or names separated by commas
    #[arg(long, default_value = "any")]
    providers: String,
    /// Retry a call whose outcome is unknown; it may run twice
    #[arg(long)]
    idempotent: bool,
    /// An environment variable of the function
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,
    /// Markets in which it may run, such as local/wasm or eu-*/wasm; all by default
    #[arg(long = "market")]
    markets: Vec<String>,
    /// Most calls of this function at once; no limit by default
    #[arg(long)]
    max_concurrency: Option<u32>,
    /// Make it public: anybody may call /function/NAME.ACCOUNT, RATE times a second, on your account
    #[arg(long, value_name = "RATE")]
    public: Option<u32>,
    #[command(flatten)]
    broker: client::Arguments,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a variable is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let module =
        std::fs::read(&arguments.module).with_context(|| format!("could not read {}", arguments.module.display()))?;
    let providers = match arguments.providers.as_str() {
        word @ ("any" | "own") => json!(word),
        names => json!(names.split(',').map(str::trim).collect::<Vec<_>>()),
    };
    let client = Client::new(&arguments.broker)?;
    let path = format!("/v1/functions/{}", arguments.name);
    let (mut definition, before) = present(&client, &arguments.name).await?;
    let named = json!({
        "memory_mb": arguments.memory_mb,
        "timeout_ms": arguments.timeout_ms,
        "idempotent": arguments.idempotent,
        "providers": providers,
        "markets": arguments.markets,
        "environment": arguments.environment.into_iter().collect::<BTreeMap<_, _>>(),
        "max_concurrency": arguments.max_concurrency,
        "public": arguments.public.map(|rate| json!({"requests_per_second": rate})),
    });
    definition.extend(named.as_object().cloned().unwrap_or_default());
    // The module is kept first, then named by the definition. A refusal of either changes nothing.
    let module = client.json(Method::PUT, &format!("{path}/module?revision=false"), &[], module).await?;
    definition.insert("module".to_owned(), module["module"].clone());
    let function = client.json(Method::PUT, &path, &[], Value::Object(definition).to_string()).await?;
    let again = if before == function["revision"] { " (code unchanged)" } else { "" };
    let (name, revision) = (text(&function, "name"), text(&function, "revision"));
    // An alias that was set by hand stays there.
    let target = match function["aliases"]["live"] == function["revision"] {
        true => name.clone(),
        false => format!("{name}:{revision}"),
    };
    println!("{name} revision {revision}{again} is deployed; call it with: merit invoke {target}");
    Ok(())
}

/// Reads the parts of the present definition that a deploy keeps: limits, budgets and labels. Returns them with the
/// newest revision, or null if there is none.
async fn present(client: &Client, name: &Name) -> anyhow::Result<(Map<String, Value>, Value)> {
    let all = client.get("/v1/functions").await?;
    let Some(present) = objects(&all, "functions").iter().find(|function| function["name"] == name.as_str()) else {
        return Ok((Map::new(), Value::Null));
    };
    let is_told = |(_, value): &(String, Value)| !value.is_null();
    let limits = present["limits"].as_object().cloned().unwrap_or_default().into_iter().filter(is_told);
    let budgets = present["budgets"].as_array().into_iter().flatten();
    let budgets = budgets.map(|budget| json!({ "period": budget["period"], "amount": budget["amount"] }));
    let kept = Map::from_iter([
        ("limits".to_owned(), Value::Object(limits.collect())),
        ("budgets".to_owned(), Value::Array(budgets.collect())),
        ("labels".to_owned(), present["labels"].clone()),
    ]);
    Ok((kept, present["revision"].clone()))
}
