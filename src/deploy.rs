//! `merit deploy`: a module and its definition, in one step.

mod readiness;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use http::{Method, StatusCode};
use merit_terms::Name;
use serde_json::{Value, json};

use crate::client::{self, BrokerError, Client};
use crate::functions::settings::{SettingArguments, shown};
use crate::output::{OutputArgument, print_json, text};

#[derive(clap::Args)]
#[command(
    after_help = "A setting that is not named stays as it is. That of a new function is 128 MB, 3000 ms and any \
                        market; its calls are not idempotent, not public, and without limits. It is for the account's \
                        own providers, and for any provider where the market asks for no keys: who may run it reads \
                        its code, its environment and its payloads."
)]
pub(crate) struct Arguments {
    /// The function's name
    name: Name,
    /// A WebAssembly module: a WASI preview 1 command that reads standard input and writes standard output
    module: PathBuf,
    #[command(flatten)]
    settings: SettingArguments,
    /// Retry a call whose outcome is unknown; it may run twice
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    idempotent: Option<bool>,
    /// Wait until the module is ready at the providers that may run it, at most SECONDS (120 if none are named)
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "120")]
    wait: Option<u64>,
    #[command(flatten)]
    format: OutputArgument,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let module =
        std::fs::read(&arguments.module).with_context(|| format!("could not read {}", arguments.module.display()))?;
    let client = Client::new(&arguments.broker)?;
    let path = format!("/v1/functions/{}", arguments.name);
    let present = present(&client, &arguments.name).await?;
    let mut patch = arguments.settings.patch(present.as_ref().unwrap_or(&Value::Null));
    if let Some(idempotent) = arguments.idempotent {
        patch.insert("idempotent".to_owned(), json!(idempotent));
    }
    // The module is kept first, then named by the definition. A refusal of either changes nothing.
    let module = client.json(Method::PUT, &format!("{path}/module?revision=false"), &[], module).await?;
    patch.insert("module".to_owned(), module["module"].clone());
    let function = if present.is_some() {
        client.send(Method::PATCH, &path, &Value::Object(patch)).await?
    } else {
        // Without keys everybody is on this machine.
        patch.entry("providers").or_insert(json!(if client.shows_key() { "own" } else { "any" }));
        client.send(Method::PUT, &path, &without_nulls(Value::Object(patch))).await?
    };
    if arguments.format.is_json() {
        match arguments.wait {
            None => print_json(&function),
            Some(seconds) => {
                readiness::wait(&client, &arguments.name, Duration::from_secs(seconds), |_| {}).await?;
                print_json(&client.get(&path).await?);
            }
        }
        return Ok(());
    }
    let is_unchanged = present.is_some_and(|present| present["revision"] == function["revision"]);
    let again = if is_unchanged { " (code unchanged)" } else { "" };
    let (name, revision) = (text(&function, "name"), text(&function, "revision"));
    // An alias that was set by hand stays there.
    let target = match function["aliases"]["live"] == function["revision"] {
        true => name.clone(),
        false => format!("{name}:{revision}"),
    };
    let audience = audience(&function["providers"]);
    println!("{name} revision {revision}{again} is deployed for {audience}; call it with: merit invoke {target}");
    if let Some(seconds) = arguments.wait {
        readiness::wait(&client, &arguments.name, Duration::from_secs(seconds), |news| println!("{news}")).await?;
    }
    Ok(())
}

/// Returns the words for the providers that may run it.
fn audience(providers: &Value) -> String {
    match providers.as_str() {
        Some("any") => "any provider".to_owned(),
        Some(_) => "your own providers only (--providers any: for all)".to_owned(),
        None => shown("providers", providers),
    }
}

/// Returns the function as it is; none if there is no such function.
async fn present(client: &Client, name: &Name) -> anyhow::Result<Option<Value>> {
    match client.get(&format!("/v1/functions/{name}")).await {
        Ok(function) => Ok(Some(function)),
        Err(error) => match error.downcast_ref::<BrokerError>() {
            Some(refused) if refused.status == StatusCode::NOT_FOUND => Ok(None),
            _ => Err(error),
        },
    }
}

/// Returns a patch as a definition: what is taken away is left out.
fn without_nulls(patch: Value) -> Value {
    match patch {
        Value::Object(fields) => {
            let told = fields.into_iter().filter(|(_, field)| !field.is_null());
            told.map(|(name, field)| (name, without_nulls(field))).collect()
        }
        other => other,
    }
}
