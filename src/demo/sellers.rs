//! The sellers of the demo: one at a list price, two that reprice by load, and one that comes and goes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use merit_agent::{Provider, ProviderSettings, StopError, Strategy};
use merit_proto::Transport;
use merit_terms::{Adapter, PoolSize, Price, Tariff};

use crate::listen::listen;
use crate::provider::{ANSWER_WITHIN, milli};
use crate::shutdown::DRAIN;
use crate::wasm_host::WasmHost;

/// Memory of a slot: that of the reference call, so that each call of that size takes one rung.
const SLOT_MB: u32 = 512;
/// Timeout of calls whose caller is gone, at the end.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// Time for which the seller that comes and goes is there, and is away.
const SHIFT: Duration = Duration::from_secs(20);

/// A demo provider; rates in picodollars. Its share of a CPU is that of one slot on two cores.
struct Seller {
    name: &'static str,
    slots: u32,
    largest_mb: u32,
    cpu_share: f64,
    per_request: u64,
    per_gb_second: u64,
    /// Rate when it is full, if it reprices by load.
    ceiling: Option<u64>,
    increment_ms: u32,
}

/// The sellers that stay.
const SELLERS: [Seller; 3] = [
    // The list price of a large cloud: dear by the second, billed by the millisecond.
    Seller {
        name: "edge-fast",
        slots: 4,
        largest_mb: 1024,
        cpu_share: 0.125,
        per_request: 200_000,
        per_gb_second: 16_666_700,
        ceiling: None,
        increment_ms: 1,
    },
    // Half as fast, and cheap while it is empty.
    Seller {
        name: "edge-slow",
        slots: 8,
        largest_mb: SLOT_MB,
        cpu_share: 0.0625,
        per_request: 100_000,
        per_gb_second: 8_000_000,
        ceiling: Some(16_000_000),
        increment_ms: 1,
    },
    // No fee for a request, but every call is billed by the tenth of a second.
    Seller {
        name: "edge-coarse",
        slots: 6,
        largest_mb: SLOT_MB,
        cpu_share: 0.125,
        per_request: 0,
        per_gb_second: 12_000_000,
        ceiling: Some(30_000_000),
        increment_ms: 100,
    },
];

/// The seller that comes and goes: idle capacity, cheaper than all others.
const NIGHT: Seller = Seller {
    name: "edge-night",
    slots: 4,
    largest_mb: SLOT_MB,
    cpu_share: 0.0625,
    per_request: 50_000,
    per_gb_second: 6_000_000,
    ceiling: None,
    increment_ms: 1,
};

/// Lists the names of all sellers.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SELLERS.iter().chain([&NIGHT]).map(|seller| seller.name)
}

impl Seller {
    fn settings(&self, cores: usize) -> anyhow::Result<ProviderSettings> {
        let tariff = Tariff {
            per_request: Price::from_picodollars(self.per_request),
            per_gb_second: Price::from_picodollars(self.per_gb_second),
            per_cpu_ms: Price::ZERO,
            per_gb_egress: Price::ZERO,
            increment_ms: self.increment_ms,
            minimum_ms: self.increment_ms,
            memory_step_mb: 1,
            bills_cold_start: false,
        };
        let cpu_share = (self.cpu_share * cores as f64 / 2.0).min(1.0);
        Ok(ProviderSettings {
            name: self.name.parse()?,
            markets: vec!["local/wasm".parse()?],
            pool: PoolSize { memory_mb: u64::from(self.slots * self.largest_mb.max(SLOT_MB)), slots: self.slots },
            cpu_share,
            strategy: match self.ceiling {
                None => Strategy::Fixed { tariff },
                Some(ceiling) => {
                    Strategy::Utilisation { tariff, ceiling: Price::from_picodollars(ceiling), rungs: self.slots }
                }
            },
            free: None,
            audience: Vec::new(),
            labels: BTreeMap::new(),
            offers_expire_after: None,
            vcpus_milli: milli(cpu_share),
            memory_mb: 1..=self.largest_mb,
            longest_ms: 60_000,
            protection: None,
            endpoint: None,
            adapter: Adapter::Agent,
            targets: None,
        })
    }
}

/// The running sellers, all in one WebAssembly host.
pub(crate) struct Sellers {
    host: WasmHost,
    exchange: Transport,
    staying: Vec<Provider>,
    night: Option<Provider>,
}

impl Sellers {
    /// Starts those that stay, each with a session of its own.
    pub(crate) async fn start(exchange: &Transport) -> anyhow::Result<Sellers> {
        let threads = SELLERS.iter().chain([&NIGHT]).map(|seller| seller.slots).sum();
        let host = WasmHost::new(threads, None)?;
        let mut staying = Vec::new();
        for seller in &SELLERS {
            staying.push(log_on(&host, exchange, seller).await?);
        }
        Ok(Sellers { host, exchange: exchange.clone(), staying, night: None })
    }

    /// Lets the seller that comes and goes do so, and warns when another's session ends, as when somebody takes its
    /// name. The market goes on; never returns.
    pub(crate) async fn run(&mut self) {
        let Sellers { host, exchange, staying, night } = self;
        let watched = staying.iter_mut().map(|provider| async move {
            if let Err(reason) = provider.ended().await {
                tracing::warn!(%reason, "a demo provider sells no more");
            }
        });
        tokio::join!(shifts(host, exchange, night), futures_util::future::join_all(watched));
    }

    /// Stops all at once. The broker has drained before, so that nobody waits for calls that still run.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let all = self.staying.into_iter().chain(self.night).map(|provider| provider.stop(LEFT_BEHIND));
        for stopped in futures_util::future::join_all(all).await {
            match stopped {
                Ok(()) => {}
                Err(StopError::CutOff) => tracing::info!("calls that nobody waits for were cut off"),
                Err(error) => return Err(error).context("a demo provider did not stop cleanly"),
            }
        }
        Ok(())
    }
}

async fn log_on(host: &WasmHost, exchange: &Transport, seller: &Seller) -> anyhow::Result<Provider> {
    let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "a demo provider").await?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let provider = host
        .start(seller.settings(cores)?, exchange.clone(), listener)
        .await
        .with_context(|| format!("the demo provider {} could not start", seller.name))?;
    provider.controls().answered(ANSWER_WITHIN).await?;
    Ok(provider)
}

/// Logs the seller that comes and goes on and off, without end.
async fn shifts(host: &WasmHost, exchange: &Transport, night: &mut Option<Provider>) {
    loop {
        tokio::time::sleep(SHIFT).await;
        match log_on(host, exchange, &NIGHT).await {
            Err(error) => tracing::warn!("a demo provider does not come back: {error:#}"),
            Ok(provider) => *night = Some(provider),
        }
        tokio::time::sleep(SHIFT).await;
        if let Some(provider) = night.take()
            && let Err(error) = provider.stop(DRAIN).await
        {
            tracing::warn!(%error, "a demo provider did not leave cleanly");
        }
    }
}
