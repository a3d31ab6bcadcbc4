//! `merit quote`: the merit order of a call now, and the refused offers.

use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;

use crate::client::{self, Client};
use crate::decision::{OFFERS, Remarks, millis, more_refused, print_refused};
use crate::output::{Format, objects, print_json, text};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The function: name, name:alias or name:revision
    function: String,
    /// A header, such as `Merit-Max-Cost: 0.00001`
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = crate::invoke::header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let client = Client::new(&arguments.broker)?;
    let path = format!("/v1/functions/{}/quote", arguments.function);
    let quote = client.json(Method::POST, &path, &arguments.headers, "").await?;
    if arguments.format.is_json() {
        print_json(&quote);
        return Ok(());
    }
    println!(
        "{} revision {}, at sequence {}",
        text(&quote, "function"),
        text(&quote, "revision"),
        text(&quote, "sequence")
    );
    arguments.format.print_table(
        &OFFERS,
        objects(&quote, "offers").iter().map(|offer| {
            let predicted = &offer["predicted"];
            let wall_us = predicted["wall_us"].as_u64().unwrap_or_default();
            vec![
                text(offer, "rank"),
                text(offer, "provider"),
                text(offer, "market"),
                text(offer, "price"),
                millis(wall_us),
                text(predicted, "billed_ms"),
                text(predicted, "cost"),
                text(offer, "worst_cost"),
                remarks(offer).text(),
            ]
        }),
    );
    let more = more_refused(&quote);
    if objects(&quote, "offers").is_empty() && objects(&quote, "refused").is_empty() && more.is_none() {
        println!("no provider offers anything in this call's markets; `merit provider` starts one");
    }
    let row = |offer: &Value| ["provider", "market", "code", "message"].map(|field| text(offer, field));
    print_refused(objects(&quote, "refused").iter().map(row));
    if let Some(more) = more {
        println!("\n{more}");
    }
    for unknown in objects(&quote, "unknown_providers") {
        let nearest = unknown["nearest"].as_str().map(|nearest| format!("; did you mean `{nearest}`?"));
        println!("there is no provider `{}`{}", text(unknown, "name"), nearest.unwrap_or_default());
    }
    Ok(())
}

fn remarks(offer: &Value) -> Remarks {
    Remarks {
        prior: offer["prior"] == true,
        observed: offer["observed"] == true,
        success_percent: offer["success_percent"].as_u64().unwrap_or(100),
        cost_of_answer: offer["predicted"]["cost_of_answer"].as_str().map(str::to_owned),
    }
}
