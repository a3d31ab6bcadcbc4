//! `merit keys`: creates, lists, revokes and rotates keys, at a running exchange or in the directory of a stopped one.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::Subcommand;
use merit_exchange::{Durability, Exchange, Settings};
use merit_proto::Transport;
use merit_proto::v1;
use merit_proto::v1::keys_client::KeysClient;
use merit_proto::v1::operator_client::OperatorClient;
use merit_terms::{KeyId, Name, Role, Time};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::access::ExchangeArguments;
use crate::exchange;
use crate::output::Kind::{self, Number, Text};
use crate::output::{Format, Output, cells, objects, print_json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    at: At,
}

/// Place of the keys.
#[derive(clap::Args)]
struct At {
    #[command(flatten)]
    exchange: ExchangeArguments,
    /// Data directory of a stopped exchange, instead of a running one; for the first key
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key; its secret is shown only once
    Create {
        /// The role of its holder: client, provider, operator or broker
        #[arg(long)]
        role: Role,
        /// The account of its holder; in the directory of a stopped exchange it is opened if it does not exist
        #[arg(long)]
        account: Name,
        /// The end of its life: a time such as 2027-01-31T00:00:00Z, or a time from now such as 90d or 12h
        #[arg(long, value_parser = end)]
        expires: Option<Time>,
    },
    /// List keys: all with an operator's key, else those of the key's account
    List,
    /// Revoke a key: it is refused everywhere from now on
    Revoke { id: KeyId },
    /// Make the next secret of a key; it is shown only once
    Rotate {
        id: KeyId,
        /// Time for which the previous secret stays valid, such as 1h; at most 31d
        #[arg(long, default_value = "0s", value_parser = span, value_name = "DURATION")]
        keep_previous: Duration,
    },
}

/// Parses a number and its unit: s, m, h or d.
fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 30s, 15m, 12h or 90d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().map(|number| Duration::from_secs(u64::from(number) * seconds)).map_err(|_| wrong())
}

fn end(text: &str) -> Result<Time, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let span = span(text).map_err(|_| format!("`{text}` is not a time such as 2027-01-31T00:00:00Z or 90d"))?;
    u64::try_from((now + span).as_micros()).map(Time::from_micros).map_err(|error| error.to_string())
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { command, format, at } = arguments;
    let Some(data_dir) = &at.data_dir else {
        let exchange = at.exchange.connect()?;
        return act(exchange, &command, format).await.map_err(|status| advice(&status));
    };
    // A key needs an account, and without a key nobody could have opened one.
    let exchange = open(data_dir.clone()).await?;
    let transport = exchange.in_process().await.context("the protocol's description")?;
    let acted = async {
        if let Command::Create { account, .. } = &command {
            open_account(transport.clone(), account).await?;
        }
        act(transport.clone(), &command, format).await
    };
    let acted = acted.await.map_err(|status| anyhow!(status.message().to_owned()));
    exchange.close();
    acted
}

async fn open(data_dir: PathBuf) -> anyhow::Result<Exchange> {
    let heartbeat_ms = exchange::HEARTBEAT_MS;
    let master_key = exchange::master_key()?;
    let shown = data_dir.display().to_string();
    let durability = Durability::Durable;
    let settings = Settings {
        data_dir,
        keyless: false,
        master_key,
        new_master_key: false,
        accept_loss: None,
        disk_reserve: 0,
        heartbeat_ms,
        durability,
    };
    let opened = Exchange::open(settings).await;
    opened.with_context(|| {
        format!(
            "could not open the data directory {shown}; while its exchange runs, use --exchange and an operator's key"
        )
    })
}

async fn open_account(exchange: Transport, account: &Name) -> Result<(), Status> {
    let opened = OperatorClient::new(exchange).open_account(v1::OpenAccountRequest { id: account.to_string() }).await;
    match opened {
        Err(status) if status.code() != Code::AlreadyExists => Err(status),
        _ => Ok(()),
    }
}

async fn act(exchange: Transport, command: &Command, format: Format) -> Result<(), Status> {
    let mut keys = KeysClient::new(exchange);
    match command {
        Command::Create { role, account, expires } => {
            let request = v1::CreateKeyRequest {
                role: v1::Role::from(*role).into(),
                account: account.to_string(),
                expires: expires.map_or(0, Time::micros),
            };
            print_new(format, keys.create_key(request).await?.into_inner());
        }
        Command::List => print_keys(format, keys.list_keys(v1::ListKeysRequest {}).await?.into_inner()),
        Command::Revoke { id } => {
            let key = keys.revoke_key(v1::RevokeKeyRequest { id: id.to_string() }).await?.into_inner();
            match format.output {
                Output::Json => print_json(&to_json(&key)),
                Output::Table => println!("{id} is refused from now on"),
            }
        }
        Command::Rotate { id, keep_previous } => {
            let keep_previous_ms = keep_previous.as_secs() * 1_000;
            let request = v1::RotateKeyRequest { id: id.to_string(), keep_previous_ms };
            print_new(format, keys.rotate_key(request).await?.into_inner());
        }
    }
    Ok(())
}

/// Prints a new key; its secret is never told again.
fn print_new(format: Format, new: v1::NewKey) {
    let id = new.key.unwrap_or_default().id;
    match format.output {
        Output::Json => print_json(&json!({"id": id, "secret": new.secret})),
        Output::Table => {
            println!("{id}.{}", new.secret);
            eprintln!("keep it: the secret is not shown again (`merit keys rotate {id}` makes another)");
        }
    }
}

fn print_keys(format: Format, listed: v1::ListKeysResponse) {
    let listed = json!({"keys": listed.keys.iter().map(to_json).collect::<Vec<_>>()});
    match format.output {
        Output::Json => print_json(&listed),
        Output::Table => {
            let columns = [
                ("key", Text),
                ("role", Text),
                ("account", Text),
                ("version", Number),
                ("created", Kind::Time),
                ("expires", Kind::Time),
                ("revoked", Text),
            ];
            let fields = ["id", "role", "account", "version", "created_at", "expires", "revoked"];
            format.print_table(&columns, objects(&listed, "keys").iter().map(|key| cells(key, fields)));
        }
    }
}

fn to_json(key: &v1::Key) -> Value {
    let time = |micros| (micros > 0).then(|| Time::from_micros(micros));
    let role = Role::try_from(key.role()).map_or("unknown", Role::as_str);
    json!({
        "id": key.id, "role": role, "account": key.account, "version": key.version,
        "created_at": Time::from_micros(key.created_at), "expires": time(key.expires), "revoked": key.revoked,
        "previous_until": time(key.previous_until),
    })
}

/// Turns the status of an exchange elsewhere into an error that says what to do.
fn advice(status: &Status) -> anyhow::Error {
    let message = status.message();
    match status.code() {
        Code::Unavailable => anyhow!("{message}; or use --data-dir where the exchange is stopped"),
        Code::Unauthenticated => anyhow!("{message}; give an operator's key with --key or MERIT_KEY"),
        _ => anyhow!("{message}"),
    }
}

#[cfg(test)]
#[path = "../tests/unit/keys.rs"]
mod tests;
