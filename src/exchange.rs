//! `merit exchange`: the exchange alone.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use merit_exchange::{Durability, Exchange, MasterKey, ServeError, Settings};
use merit_terms::{Money, Name};

use crate::access::{KeyArguments, TlsArguments};
use crate::clock;
use crate::listen::{address, bind, socket};
use crate::output::announce_ready;
use crate::shutdown::{self, EXCHANGE_DRAIN};

/// Account of calls without credentials on loopback.
pub(crate) const DEV: &str = "dev";
/// First deposit of `dev`: enough to play with for a long time.
const DEV_DEPOSIT_USD: &str = "1000";
/// Heartbeat interval of providers, in milliseconds.
pub(crate) const HEARTBEAT_MS: u32 = 1000;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    data: DirectoryArguments,
    /// Address for brokers and providers
    #[arg(long, default_value = "127.0.0.1:7070", env = "MERIT_GRPC", value_parser = socket)]
    grpc: SocketAddr,
    #[command(flatten)]
    keys: KeyArguments,
    #[command(flatten)]
    tls: TlsArguments,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show the market's time, or follow a clock that was set
    Clock(clock::Arguments),
}

/// Application protocols of gRPC.
pub(crate) const GRPC_PROTOCOLS: [&str; 1] = ["h2"];
/// Environment variable of a master key in place of the data directory's own.
const MASTER_KEY: &str = "MERIT_MASTER_KEY";

/// Reads the master key of the environment, if there is one.
pub(crate) fn master_key() -> anyhow::Result<Option<MasterKey>> {
    match std::env::var(MASTER_KEY) {
        Ok(text) => text.trim().parse().map(Some).context(MASTER_KEY),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{MASTER_KEY} is not text"),
    }
}

#[derive(clap::Args)]
pub(crate) struct DirectoryArguments {
    /// The directory of the journal, the modules and the master key; created if it does not exist
    #[arg(long, default_value = "./merit-data", env = "MERIT_DATA_DIR")]
    pub(crate) data_dir: PathBuf,
    /// A market to create if it does not exist, such as eu-west/wasm
    #[arg(long = "market", default_value = "local/wasm")]
    pub(crate) markets: Vec<String>,
    /// durable: answers wait for the disk; relaxed: they do not, and a crash may lose answered commands
    #[arg(long, value_name = "LEVEL", value_parser = durability, default_value = "durable", env = "MERIT_DURABILITY")]
    pub(crate) durability: Durability,
    /// Accept a missing or different master key; existing keys and open leases become invalid
    #[arg(long)]
    pub(crate) new_master_key: bool,
    /// MB of the disk that are kept for settlements: calls are refused below it, definitions below twice, uploads below
    /// three times as much
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    pub(crate) disk_reserve_mb: u64,
    /// Go on from a journal that ends at this sequence, though more is known to have been durable
    #[arg(long, value_name = "SEQUENCE")]
    pub(crate) accept_loss: Option<u64>,
}

fn durability(text: &str) -> Result<Durability, &'static str> {
    match text {
        "durable" => Ok(Durability::Durable),
        "relaxed" => Ok(Durability::Relaxed),
        _ => Err("durability is durable or relaxed"),
    }
}

/// Opens the data directory, and creates the markets that were named and, without keys, the account `dev`.
pub(crate) async fn open(arguments: &DirectoryArguments, keyless: bool) -> anyhow::Result<Exchange> {
    let (data_dir, master_key) = (arguments.data_dir.clone(), master_key()?);
    if !keyless && !data_dir.exists() {
        // A directory that does not exist holds no key, so it is not created.
        return Err(ServeError::NoOperator { data_dir }.into());
    }
    let durability = arguments.durability;
    let settings = Settings {
        data_dir,
        keyless,
        master_key,
        new_master_key: arguments.new_master_key,
        accept_loss: arguments.accept_loss,
        disk_reserve: arguments.disk_reserve_mb << 20,
        heartbeat_ms: HEARTBEAT_MS,
        durability,
    };
    let exchange = Exchange::open(settings)
        .await
        .with_context(|| format!("could not open the data directory {}", arguments.data_dir.display()))?;
    if durability == Durability::Relaxed {
        tracing::warn!(
            "--durability relaxed: answers do not wait for the disk, and a crash may lose what was answered"
        );
    }
    if let Some(damage) = exchange.cut() {
        tracing::warn!("the journal's damaged end was cut off: {damage}");
    }
    for damage in exchange.damaged_snapshots() {
        tracing::warn!("a damaged snapshot was set aside; started from another state and the journal: {damage}");
    }
    for market in &arguments.markets {
        exchange.ensure_market(&market.parse().context("--market")?).await?;
    }
    if keyless {
        let (dev, deposit): (Name, Money) = (DEV.parse()?, DEV_DEPOSIT_USD.parse()?);
        exchange.ensure_account(&dev, deposit).await?;
    }
    Ok(exchange)
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Some(Command::Clock(arguments)) = arguments.command {
        return clock::run(arguments).await;
    }
    let (stop, started) = (shutdown::on_signal()?, Instant::now());
    let tls = arguments.tls.open(&GRPC_PROTOCOLS)?;
    let scheme = if tls.is_some() { "grpcs" } else { "grpc" };
    let listener = bind(arguments.grpc, "--grpc").await?;
    let grpc = address(&listener)?;
    let exchange = open(&arguments.data, arguments.keys.keyless(&[grpc])).await?;
    if let Err(refused) = exchange.check_address(grpc) {
        exchange.close();
        return Err(refused.into());
    }
    announce_ready(&format!("{scheme}://{grpc}"), started);
    let failure = tokio::select! {
        served = exchange.serve(listener, tls, stop.cancelled_owned(), EXCHANGE_DRAIN) => {
            served?;
            None
        }
        reason = exchange.stopped() => Some(reason),
    };
    exchange.close();
    match failure {
        Some(reason) => bail!("the exchange stops: {reason}"),
        None => Ok(()),
    }
}
