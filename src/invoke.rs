//! `merit invoke`: the function's answer on standard output, the receipt on standard error.

use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

use crate::client::{self, Answer, Client};
use crate::last_invocation;
use crate::output::{Format, Kind, in_clear, lines_in_clear, print_json};
use crate::piped;

const INVOCATION_ID: HeaderName = HeaderName::from_static("merit-invocation-id");
const LOG_TYPE: HeaderName = HeaderName::from_static("merit-log-type");
/// Fields of the receipt that are whole numbers.
const COUNTS: [&str; 4] = ["revision", "billed_ms", "attempts", "overhead_us"];
/// Fields of the receipt in JSON; its headers are named after them.
const RECEIPT: [&str; 10] = [
    "invocation_id",
    "provider",
    "market",
    "revision",
    "price",
    "quoted_cost",
    "cost",
    "billed_ms",
    "attempts",
    "overhead_us",
];

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
    /// Print the answer only, without the receipt and what the function wrote to its standard error
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    format: Format,
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
    let mut headers = arguments.headers.clone();
    if !headers.iter().any(|(name, _)| *name == LOG_TYPE) && !arguments.quiet {
        headers.push((LOG_TYPE, HeaderValue::from_static("Tail")));
    }
    let answer = client.call(Method::POST, &path, &headers, payload).await?;
    let id = answer.headers.get(INVOCATION_ID).and_then(|id| id.to_str().ok());
    last_invocation::remember(id, client.base());
    let is_answer = answer.status.is_success() || is_functions_own(&answer);
    if arguments.format.is_json() {
        print_json(&if is_answer { to_json(&answer) } else { answer.error_json().unwrap_or_default() });
        if answer.status.is_success() {
            return Ok(());
        }
    }
    if is_answer && !answer.status.is_success() {
        if !arguments.quiet && !arguments.format.is_json() {
            print_receipt(&answer.headers, arguments.format);
        }
        let said = lines_in_clear(&String::from_utf8_lossy(&answer.body));
        bail!("the function answered {}{}{said}", answer.status, if said.is_empty() { "" } else { ": " });
    }
    let answer = answer.success()?;
    let mut output = std::io::stdout().lock();
    match output.write_all(&answer.body).and_then(|()| output.flush()) {
        // As after `| head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        written => written.context("could not write the answer")?,
    }
    if !arguments.quiet {
        if !answer.body.ends_with(b"\n") && std::io::stdout().is_terminal() {
            eprintln!();
        }
        for line in log(&answer.headers).lines() {
            eprintln!("{}", in_clear(line));
        }
        print_receipt(&answer.headers, arguments.format);
    }
    Ok(())
}

/// Returns whether an error is the function's own answer: it has a receipt, and not the shape of Merit's errors.
fn is_functions_own(answer: &Answer) -> bool {
    let is_merits = answer.error_json().is_some_and(|body| body["error"]["code"].is_string());
    receipt_field(&answer.headers, "provider").is_some() && !is_merits
}

/// Returns the end of the function's log, if it wrote one.
fn log(headers: &HeaderMap) -> String {
    let decoded = headers.get("merit-log-result").and_then(|log| STANDARD.decode(log.as_bytes()).ok());
    decoded.map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
}

fn to_json(answer: &Answer) -> Value {
    let field = |name: &str| {
        let text = receipt_field(&answer.headers, name);
        // Amounts are text, so that nothing is lost of them.
        let number = text.filter(|_| COUNTS.contains(&name)).and_then(|text| text.parse::<u64>().ok());
        (name.to_owned(), number.map_or_else(|| json!(text), |number| json!(number)))
    };
    let receipt: Map<String, Value> = RECEIPT.into_iter().map(field).collect();
    let mut told = json!({"status": answer.status.as_u16(), "receipt": receipt, "log": log(&answer.headers)});
    match std::str::from_utf8(&answer.body) {
        Ok(text) => told["answer"] = json!(text),
        Err(_) => told["answer_base64"] = json!(STANDARD.encode(&answer.body)),
    }
    told
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

/// Returns a field of the receipt: `billed_ms` is the header `Merit-Billed-Ms`.
fn receipt_field<'a>(headers: &'a HeaderMap, field: &str) -> Option<&'a str> {
    headers.get(format!("merit-{}", field.replace('_', "-")))?.to_str().ok()
}

fn print_receipt(headers: &HeaderMap, format: Format) {
    let value = |field: &str| receipt_field(headers, field).unwrap_or("-");
    eprintln!(
        "{} at {} in {}: {} for {} ms billed, at {} (quoted {}), {} us by Merit",
        value("invocation_id"),
        value("provider"),
        value("market"),
        format.with_unit(Kind::Cost, value("cost")),
        value("billed_ms"),
        format.with_unit(Kind::Price, value("price")),
        format.with_unit(Kind::Cost, value("quoted_cost")),
        value("overhead_us"),
    );
}
