//! `merit provider`: sells this machine's idle capacity at an exchange.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use merit_agent::{Provider, ProviderSettings, Strategy};
use merit_terms::{MarketName, Name, PoolSize, Price, Protection, Tariff};
use merit_wasm::{Runtime, RuntimeSettings};

use crate::access::ExchangeArguments;
use crate::free;
use crate::listen::{address, listen};
use crate::stop::{self, DRAIN};

/// Compiled modules that a provider keeps.
pub(crate) const MODULES_KEPT: usize = 256;
/// How long the exchange may take to answer the first quotes.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    exchange: ExchangeArguments,
    /// This provider's name, the same at every start
    #[arg(long, env = "MERIT_PROVIDER")]
    name: Name,
    /// A market to sell in
    #[arg(long = "market", default_value = "local/wasm")]
    markets: Vec<MarketName>,
    /// What may run at once: memory
    #[arg(long, default_value_t = 2048)]
    memory_mb: u64,
    /// What may run at once: invocations
    #[arg(long, default_value_t = 4)]
    slots: u32,
    /// The largest function taken; all the memory, if it is not given
    #[arg(long)]
    largest_mb: Option<u32>,
    /// The longest timeout taken
    #[arg(long, default_value_t = 900_000)]
    longest_ms: u32,
    /// The part of a CPU that each invocation may use, above 0 and at most 1
    #[arg(long, default_value_t = 1.0)]
    cpu_share: f64,
    /// How the price is made
    #[arg(long, value_enum, default_value = "fixed")]
    strategy: StrategyName,
    /// USD per GB-s; the floor of the utilisation strategy
    #[arg(long, default_value = "0.00001", allow_hyphen_values = true)]
    per_gb_second: Price,
    /// USD per GB-s when the pool is nearly full, for the utilisation strategy
    #[arg(long, allow_hyphen_values = true)]
    ceiling: Option<Price>,
    /// USD per invocation
    #[arg(long, default_value = "0.0000001", allow_hyphen_values = true)]
    per_request: Price,
    /// Billed time is rounded up to this
    #[arg(long, default_value_t = 1)]
    increment_ms: u32,
    /// The least time billed
    #[arg(long, default_value_t = 1)]
    minimum_ms: u32,
    #[command(flatten)]
    free: free::Arguments,
    /// An account to sell to; all, if none is given
    #[arg(long = "audience", value_name = "ACCOUNT")]
    audience: Vec<Name>,
    /// What this provider claims of itself, such as energy=solar: told as claimed.energy, and satisfies no limit
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = claimed)]
    labels: Vec<(String, String)>,
    /// Let the offers leave the book so many seconds after they were quoted last; they are quoted again in time
    #[arg(long, value_name = "SECONDS")]
    offer_expires_after: Option<u64>,
    /// Pull all offers for a moment once as many calls came in as many milliseconds, such as 100/1000
    #[arg(long, value_name = "CALLS/MS", value_parser = protection)]
    protect: Option<Protection>,
    /// Where invocations are taken
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// How brokers reach that address, if not as it is
    #[arg(long)]
    endpoint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StrategyName {
    /// One price for the whole pool
    Fixed,
    /// A price that rises from the floor to the ceiling as the pool fills
    Utilisation,
}

impl Arguments {
    fn strategy(&self) -> anyhow::Result<Strategy> {
        let tariff = Tariff {
            per_request: self.per_request,
            per_gb_second: self.per_gb_second,
            per_cpu_ms: Price::ZERO,
            per_gb_egress: Price::ZERO,
            increment_ms: self.increment_ms,
            minimum_ms: self.minimum_ms,
            memory_step_mb: 1,
            bills_cold_start: false,
        };
        match (self.strategy, self.ceiling) {
            (StrategyName::Fixed, None) => Ok(Strategy::Fixed { tariff }),
            (StrategyName::Fixed, Some(_)) => bail!("--ceiling goes with --strategy utilisation"),
            (StrategyName::Utilisation, None) => bail!("--strategy utilisation needs a --ceiling"),
            (StrategyName::Utilisation, Some(ceiling)) => {
                Ok(Strategy::Utilisation { tariff, ceiling, rungs: Strategy::DEFAULT_RUNGS })
            }
        }
    }

    fn settings(&self) -> anyhow::Result<ProviderSettings> {
        let all = u32::try_from(self.memory_mb).unwrap_or(u32::MAX).min(merit_terms::MEMORY_MAX_MB);
        Ok(ProviderSettings {
            name: self.name.clone(),
            markets: self.markets.clone(),
            pool: PoolSize { memory_mb: self.memory_mb, slots: self.slots },
            cpu_share: self.cpu_share,
            strategy: self.strategy()?,
            free: self.free.quota()?,
            audience: self.audience.clone(),
            labels: self.labels.iter().cloned().collect(),
            offers_expire_after: self.offer_expires_after.map(Duration::from_secs),
            vcpus_milli: milli(self.cpu_share),
            memory_mb: 1..=self.largest_mb.unwrap_or(all),
            longest_ms: self.longest_ms,
            protection: self.protect,
            endpoint: self.endpoint.clone(),
        })
    }
}

fn protection(text: &str) -> anyhow::Result<Protection> {
    let (leases, within_ms) = text.split_once('/').context("calls and milliseconds, such as 100/1000")?;
    Ok(Protection { leases: leases.parse().context("calls")?, within_ms: within_ms.parse().context("milliseconds")? })
}

/// A label as it is told: the provider's own claims are named apart from what the operator grants.
fn claimed(text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = text.split_once('=').context("a name and a value, such as energy=solar")?;
    Ok((format!("claimed.{}", name.strip_prefix("claimed.").unwrap_or(name)), value.to_owned()))
}

/// A share of a CPU in thousandths, at least one.
pub(crate) fn milli(cpu_share: f64) -> u32 {
    ((cpu_share * 1000.0).round() as u32).max(1)
}

/// Waits until the exchange has answered the ladder in each of `markets`; a refused one is an error.
pub(crate) async fn quoted(provider: &Provider, markets: usize) -> anyhow::Result<()> {
    let mut standing = provider.standing();
    let answered = standing.wait_for(|standing| standing.markets + standing.refused.len() >= markets);
    let answered = tokio::time::timeout(ANSWER_WITHIN, answered).await;
    let standing = answered.context("the exchange did not answer the quotes")?.context("the session ended")?;
    match standing.refused.first() {
        None => Ok(()),
        Some(refused) => bail!("the offers in {} were refused: {} ({})", refused.market, refused.message, refused.code),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let stop = stop::on_signal()?;
    let settings = arguments.settings()?;
    let exchange = arguments.exchange.connect()?;
    let listener = listen(arguments.listen, "--listen").await?;
    let http = address(&listener)?;
    let runtime = Runtime::new(RuntimeSettings { threads: arguments.slots, modules: MODULES_KEPT })?;
    let started = tokio::select! {
        // An exchange that does not answer yet is waited for.
        () = stop.cancelled() => return Ok(()),
        started = Provider::start(settings, exchange, listener, runtime) => started,
    };
    let mut provider = started.with_context(|| {
        format!("the provider {} could not start at {}", arguments.name, arguments.exchange.exchange)
    })?;
    let quoted = tokio::select! {
        () = stop.cancelled() => Ok(()),
        quoted = quoted(&provider, arguments.markets.len()) => quoted,
    };
    if let Err(error) = quoted {
        provider.stop(DRAIN).await.context("the provider did not stop cleanly")?;
        return Err(error);
    }
    if !stop.is_cancelled() {
        println!("ready http://{http}");
    }
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        ended = provider.ended() => Some(ended),
    };
    match ended {
        None => provider.stop(DRAIN).await.context("the provider did not stop cleanly"),
        Some(ended) => ended.context("the session ended"),
    }
}
