//! `merit provider`: sells this machine's idle capacity at an exchange, or that of a function server.

mod control;
mod sales_report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use merit_agent::{Controls, Provider, ProviderSettings, Strategy};
use merit_proto::Transport;
use merit_terms::{Adapter, MarketName, Name, PoolSize, Price, Protection, TargetPattern, Tariff, port_of};
use tokio::net::TcpStream;

use self::control::{Control, ControlSocket};
use self::sales_report::SalesReport;
use crate::access::ExchangeArguments;
use crate::free_tier;
use crate::listen::{address, listen, socket};
use crate::output::{announce, announce_ready};
use crate::shutdown::{self, DRAIN};
use crate::wasm_host::WasmHost;

/// Any free port of this machine.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// Timeout of the exchange's answer to the first quotes.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Timeout of the connection to a function server at the start.
const PROBE_WITHIN: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    control: Option<Control>,
    #[command(flatten)]
    sale: SaleArguments,
}

/// The capacity that a provider sells, its price and its markets.
#[derive(clap::Args)]
struct SaleArguments {
    #[command(flatten)]
    exchange: ExchangeArguments,
    /// This provider's name, the same at every start
    #[arg(long, env = "MERIT_PROVIDER", required = true)]
    name: Option<Name>,
    /// A market to sell in
    #[arg(long = "market", default_value = "local/wasm")]
    markets: Vec<MarketName>,
    /// Memory of all invocations at once
    #[arg(long, default_value_t = 2048)]
    memory_mb: u64,
    /// Number of invocations at once
    #[arg(long, default_value_t = 4)]
    slots: u32,
    /// Largest function, in MB [default: --memory-mb; with --strategy utilisation a share of it, so that each slot
    /// has a rung, up to 8]
    #[arg(long)]
    largest_mb: Option<u32>,
    /// The longest timeout accepted
    #[arg(long, default_value_t = 900_000)]
    longest_ms: u32,
    /// Way to run functions
    #[arg(long, value_enum, default_value = "agent")]
    adapter: AdapterName,
    /// CPU share of each invocation, above 0 and at most 1 [default: 1]
    #[arg(long)]
    cpu_share: Option<f64>,
    /// vCPUs of one invocation at the function server, such as 0.5 [default: 1]
    #[arg(long)]
    vcpus: Option<f64>,
    /// The pricing strategy
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
    /// USD per CPU millisecond; a function server reports no CPU time
    #[arg(long, default_value = "0", allow_hyphen_values = true)]
    per_cpu_ms: Price,
    /// USD per GB of answers
    #[arg(long, default_value = "0", allow_hyphen_values = true)]
    per_gb_egress: Price,
    /// Round billed memory up to a multiple of this, in MB
    #[arg(long, default_value_t = 1)]
    memory_step_mb: u32,
    /// Folder of compiled modules, to which only this user can write [default: ~/.cache/merit/modules]
    #[arg(long, value_name = "DIR", env = "MERIT_MODULE_CACHE")]
    module_cache: Option<PathBuf>,
    /// Bill the time of a cold start
    #[arg(long)]
    bills_cold_start: bool,
    /// Round billed time up to a multiple of this, in ms
    #[arg(long, default_value_t = 1)]
    increment_ms: u32,
    /// The least time billed
    #[arg(long, default_value_t = 1)]
    minimum_ms: u32,
    #[command(flatten)]
    free: free_tier::Arguments,
    /// An account to sell to; all accounts by default
    #[arg(long = "audience", value_name = "ACCOUNT")]
    audience: Vec<Name>,
    /// Claimed label, such as energy=solar; shown as claimed.energy, never matched by Merit-Labels
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = claimed)]
    labels: Vec<(String, String)>,
    /// Seconds until an offer expires; the agent renews it
    #[arg(long, value_name = "SECONDS")]
    offer_expires_after: Option<u64>,
    /// Pull all offers after this many calls within this many ms, such as 100/1000
    #[arg(long, value_name = "CALLS/MS", value_parser = protection)]
    protect: Option<Protection>,
    /// The agent's listener for invocations [default: 127.0.0.1:0]
    #[arg(long, value_parser = socket)]
    listen: Option<SocketAddr>,
    /// URL of the agent for brokers, if not --listen; with --adapter http, the server's base URL
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Targets that functions may name beside those below --endpoint, such as https://fn.example/* [default: those of
    /// before; `merit providers targets` changes them]
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    targets: Option<Vec<TargetPattern>>,
    /// Skip the check that this machine reaches the function server
    #[arg(long)]
    no_probe: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AdapterName {
    /// This process, which runs WebAssembly modules
    Agent,
    /// Any function server at --endpoint, which runs deployments by name; this process runs nothing
    Http,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StrategyName {
    /// One price for the whole pool
    Fixed,
    /// A price that rises from the floor to the ceiling as the pool fills
    Utilisation,
}

impl SaleArguments {
    fn name(&self) -> anyhow::Result<&Name> {
        self.name.as_ref().context("--name is missing")
    }

    fn strategy(&self) -> anyhow::Result<Strategy> {
        let tariff = Tariff {
            per_request: self.per_request,
            per_gb_second: self.per_gb_second,
            per_cpu_ms: self.per_cpu_ms,
            per_gb_egress: self.per_gb_egress,
            increment_ms: self.increment_ms,
            minimum_ms: self.minimum_ms,
            memory_step_mb: self.memory_step_mb,
            bills_cold_start: self.bills_cold_start,
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

    /// Refuses options without an effect for the adapter: they would seem to be in force.
    fn check_adapter(&self) -> anyhow::Result<()> {
        match self.adapter {
            AdapterName::Agent if self.no_probe => bail!("--no-probe goes with --adapter http"),
            AdapterName::Agent if self.targets.is_some() => bail!("--targets goes with --adapter http"),
            AdapterName::Agent if self.vcpus.is_some() => bail!("--vcpus goes with --adapter http; see --cpu-share"),
            AdapterName::Http if self.endpoint.is_none() => bail!("--adapter http needs the --endpoint to call"),
            AdapterName::Http if self.listen.is_some() => bail!("--listen goes with --adapter agent"),
            AdapterName::Http if self.cpu_share.is_some() => {
                bail!("--cpu-share goes with --adapter agent; see --vcpus")
            }
            AdapterName::Http if self.strategy != StrategyName::Fixed => {
                bail!("--adapter http needs --strategy fixed")
            }
            _ => self.check_endpoint(),
        }
    }

    /// Refuses an endpoint with a port that no server has.
    fn check_endpoint(&self) -> anyhow::Result<()> {
        let Some(endpoint) = &self.endpoint else { return Ok(()) };
        let uri: http::Uri = endpoint.parse().with_context(|| format!("--endpoint `{endpoint}` is not a URL"))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        port_of(authority).with_context(|| format!("--endpoint {endpoint}"))?;
        Ok(())
    }

    /// Returns the largest function that leaves the ladder as many rungs as the strategy is to have.
    fn default_largest_mb(&self) -> u32 {
        let rungs = match self.strategy {
            StrategyName::Fixed => 1,
            StrategyName::Utilisation => self.slots.clamp(1, Strategy::DEFAULT_RUNGS),
        };
        let share = (self.memory_mb / u64::from(rungs)).max(self.memory_mb.min(1));
        u32::try_from(share).unwrap_or(u32::MAX).min(merit_terms::MEMORY_MAX_MB)
    }

    /// Warns of a price that cannot rise: a ladder of one rung.
    fn warn_of_one_rung(&self, settings: &ProviderSettings) {
        let paid = settings.ladder().iter().filter(|rung| rung.quota.is_none()).count();
        if self.strategy != StrategyName::Utilisation || paid > 1 {
            return;
        }
        let (pool, largest) = (settings.pool.memory_mb, settings.memory_mb.end());
        let way_out = match self.largest_mb {
            Some(_) => format!("a --largest-mb of at most {} makes more", pool / 2),
            None => "more --slots, or a smaller --largest-mb, make more".to_owned(),
        };
        eprintln!(
            "merit: --strategy utilisation sells one rung, and its price stays at the floor of {} USD per GB-s: a pool \
             of {pool} MB is one slice for functions of up to {largest} MB; {way_out}",
            self.per_gb_second
        );
    }

    fn settings(&self) -> anyhow::Result<ProviderSettings> {
        self.check_adapter()?;
        let cpu_share = self.cpu_share.unwrap_or(1.0);
        let (adapter, vcpus) = match self.adapter {
            AdapterName::Agent => (Adapter::Agent, cpu_share),
            AdapterName::Http => (Adapter::Http, self.vcpus.unwrap_or(1.0)),
        };
        Ok(ProviderSettings {
            name: self.name()?.clone(),
            markets: self.markets.clone(),
            pool: PoolSize { memory_mb: self.memory_mb, slots: self.slots },
            cpu_share,
            strategy: self.strategy()?,
            free: self.free.quota()?,
            audience: self.audience.clone(),
            labels: self.labels.iter().cloned().collect(),
            offers_expire_after: self.offer_expires_after.map(Duration::from_secs),
            vcpus_milli: milli(vcpus),
            memory_mb: 1..=self.largest_mb.unwrap_or_else(|| self.default_largest_mb()),
            longest_ms: self.longest_ms,
            protection: self.protect,
            endpoint: self.endpoint.clone(),
            adapter,
            targets: self.targets.clone(),
        })
    }
}

fn protection(text: &str) -> anyhow::Result<Protection> {
    let (leases, within_ms) = text.split_once('/').context("calls and milliseconds, such as 100/1000")?;
    Ok(Protection { leases: leases.parse().context("calls")?, within_ms: within_ms.parse().context("milliseconds")? })
}

/// Parses a claim. The provider's own claims are named apart from the labels that the operator grants.
fn claimed(text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = text.split_once('=').context("a name and a value, such as energy=solar")?;
    Ok((format!("claimed.{}", name.strip_prefix("claimed.").unwrap_or(name)), value.to_owned()))
}

/// Returns a share of a CPU in thousandths, at least one.
pub(crate) fn milli(cpu_share: f64) -> u32 {
    ((cpu_share * 1000.0).round() as u32).max(1)
}

/// Connects to the function server once, and sends nothing: a request could run a function.
async fn probe(endpoint: &str) -> anyhow::Result<()> {
    let uri: http::Uri = endpoint.parse().with_context(|| format!("--endpoint `{endpoint}` is not a URL"))?;
    let host = uri.host().with_context(|| format!("--endpoint `{endpoint}` names no host"))?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connected = tokio::time::timeout(PROBE_WITHIN, TcpStream::connect((host, port))).await;
    let advice = || {
        format!(
            "no function server answers at {endpoint}; start it first, name its URL with --endpoint, or give \
             --no-probe if only brokers reach it"
        )
    };
    connected.with_context(advice)?.with_context(advice)?;
    Ok(())
}

/// Starts the provider. Returns it with the address of its invocations.
async fn start(
    arguments: &SaleArguments,
    settings: ProviderSettings,
    exchange: Transport,
) -> anyhow::Result<(Provider, String)> {
    let settings_name = settings.name.clone();
    let failed = || format!("the provider {} could not start at {}", settings_name, arguments.exchange.exchange);
    if arguments.adapter == AdapterName::Http {
        if let Some(endpoint) = settings.endpoint.as_deref().filter(|_| !arguments.no_probe) {
            probe(endpoint).await?;
        }
        let provider = Provider::start_gateway(settings, exchange).await.with_context(failed)?;
        let endpoint = provider.endpoint().to_owned();
        return Ok((provider, endpoint));
    }
    let listener = listen(arguments.listen.unwrap_or(LISTEN), "--listen").await?;
    let http = address(&listener)?;
    let host = WasmHost::new(arguments.slots, arguments.module_cache.clone())?;
    let provider = host.start(settings, exchange, listener).await.with_context(failed)?;
    Ok((provider, format!("http://{http}")))
}

/// Answers requests, if there is a socket; never returns.
async fn answer_requests(socket: Option<&ControlSocket>, controls: &Controls) {
    match socket {
        Some(socket) => socket.serve(controls).await,
        None => std::future::pending().await,
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.control {
        Some(control) => control::request(&control).await,
        None => sell(arguments.sale).await,
    }
}

async fn sell(arguments: SaleArguments) -> anyhow::Result<()> {
    let (stop, began) = (shutdown::on_signal()?, Instant::now());
    let settings = arguments.settings()?;
    arguments.warn_of_one_rung(&settings);
    let (name, pool_mb) = (settings.name.clone(), settings.pool.memory_mb);
    let exchange = arguments.exchange.connect()?;
    let started = tokio::select! {
        // An exchange that does not answer yet is waited for.
        () = stop.cancelled() => return Ok(()),
        started = start(&arguments, settings, exchange) => started,
    };
    let (mut provider, ready) = started?;
    let controls = provider.controls();
    let quoted = tokio::select! {
        () = stop.cancelled() => Ok(()),
        answered = controls.answered(ANSWER_WITHIN) => answered,
    };
    if let Err(error) = quoted {
        provider.stop(DRAIN).await.context("the provider did not stop cleanly")?;
        return Err(error.into());
    }
    let socket = ControlSocket::open(&name).await;
    if let Err(error) = &socket {
        tracing::warn!("`merit provider pause|resume|price {name}` cannot reach this provider: {error:#}");
    }
    if !stop.is_cancelled() {
        announce_ready(&ready, began);
    }
    let mut report = SalesReport::new(name.to_string(), pool_mb, provider.standing());
    let ended = tokio::select! {
        () = stop.cancelled() => None,
        ended = provider.ended() => Some(ended),
        () = answer_requests(socket.as_ref().ok(), &controls) => None,
        () = report.run() => None,
    };
    let ended = match ended {
        None => provider.stop(DRAIN).await.context("the provider did not stop cleanly"),
        Some(ended) => ended.context("the session ended"),
    };
    announce(&report.total());
    ended
}
