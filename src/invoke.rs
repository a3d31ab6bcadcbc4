//! `merit invoke`: the function's answer on standard output, the receipt on standard error.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::client::{self, Client};
use crate::piped;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The function: name, name:alias or name:revision
    function: String,
    /// The payload. Without it and --data-file the payload is standard input, if that is a pipe, a file or a socket;
    /// a loop that reads standard input itself gives `--data ''` or `< /dev/null`
    #[arg(long, conflicts_with = "data_file")]
    data: Option<String>,
    /// A file with the payload; `-` is standard input, whatever it is
    #[arg(long)]
    data_file: Option<PathBuf>,
    /// A header, such as `Merit-Max-Cost: 0.00001`
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Print the answer only
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    broker: client::Arguments,
}

pub(crate) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a header is `Name: value`")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is not the name of a header"))?;
    let value = value.trim().parse().map_err(|_| format!("`{value}` is not the value of a header"))?;
    Ok((name, value))
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let payload = payload(&arguments)?;
    let client = Client::new(&arguments.broker)?;
    let path = format!("/v1/functions/{}/invocations", arguments.function);
    let answer = client.call(Method::POST, &path, &arguments.headers, payload).await?;
    let mut output = std::io::stdout().lock();
    output.write_all(&answer.body).and_then(|()| output.flush()).context("could not write the answer")?;
    if !arguments.quiet {
        print_receipt(&answer.headers, answer.body.ends_with(b"\n"));
    }
    Ok(())
}

fn payload(arguments: &Arguments) -> anyhow::Result<Vec<u8>> {
    let read_input = || {
        let mut payload = Vec::new();
        std::io::stdin().lock().read_to_end(&mut payload).context("could not read standard input")?;
        Ok(payload)
    };
    match (&arguments.data, &arguments.data_file) {
        (Some(text), _) => Ok(text.clone().into_bytes()),
        (None, Some(path)) if path.as_os_str() == "-" => read_input(),
        (None, Some(path)) if path.is_dir() => bail!("{} is a directory", path.display()),
        (None, Some(path)) => std::fs::read(path).with_context(|| format!("could not read {}", path.display())),
        (None, None) => piped::payload(&std::io::stdin()),
    }
}

fn print_receipt(headers: &HeaderMap, on_new_line: bool) {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    if !on_new_line && std::io::stdout().is_terminal() {
        eprintln!();
    }
    eprintln!(
        "{} at {} in {}: {} USD for {} ms billed, at {} USD per GB-s (quoted {}), {} us by Merit",
        value("merit-invocation-id"),
        value("merit-provider"),
        value("merit-market"),
        value("merit-cost"),
        value("merit-billed-ms"),
        value("merit-price"),
        value("merit-quoted-cost"),
        value("merit-overhead-us"),
    );
}
