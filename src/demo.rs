//! The demo of `merit up`: three WebAssembly providers of different tariff, capacity and speed, the sample functions,
//! and a little traffic.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use http::Method;
use merit_agent::{Provider, ProviderSettings, Strategy};
use merit_proto::Transport;
use merit_proto::v1;
use merit_proto::v1::audience::Kind;
use merit_proto::v1::modules_client::ModulesClient;
use merit_proto::v1::registry_client::RegistryClient;
use merit_terms::{Adapter, PoolSize, Price, Tariff};
use rand::RngExt;
use rand::SeedableRng;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::exchange::DEV;
use crate::listen::listen;
use crate::provider::{milli, quoted};
use crate::wasm_host::WasmHost;

/// A demo provider; rates in picodollars. Its share of a CPU is that of one slot on two cores.
struct Seller {
    name: &'static str,
    slots: u32,
    memory_mb: u64,
    largest_mb: u32,
    cpu_share: f64,
    per_request: u64,
    per_gb_second: u64,
    ceiling: Option<u64>,
    increment_ms: u32,
}

/// The demo providers. Together they use half of the machine's CPUs, so that the market itself stays quick.
const SELLERS: [Seller; 3] = [
    // The list price of a large cloud: dear by the second, billed by the millisecond.
    Seller {
        name: "edge-fast",
        slots: 4,
        memory_mb: 4096,
        largest_mb: 1024,
        cpu_share: 0.125,
        per_request: 200_000,
        per_gb_second: 16_666_700,
        ceiling: None,
        increment_ms: 1,
    },
    // Half as fast, at two thirds of the price.
    Seller {
        name: "edge-slow",
        slots: 4,
        memory_mb: 4096,
        largest_mb: 1024,
        cpu_share: 0.0625,
        per_request: 133_333,
        per_gb_second: 11_111_100,
        ceiling: None,
        increment_ms: 1,
    },
    // No fee for a request, but every call is billed by the tenth of a second; small, and dearer as it fills.
    Seller {
        name: "edge-coarse",
        slots: 2,
        memory_mb: 1024,
        largest_mb: 256,
        cpu_share: 0.125,
        per_request: 0,
        per_gb_second: 12_000_000,
        ceiling: Some(30_000_000),
        increment_ms: 100,
    },
];

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
            pool: PoolSize { memory_mb: self.memory_mb, slots: self.slots },
            cpu_share,
            strategy: match self.ceiling {
                None => Strategy::Fixed { tariff },
                Some(ceiling) => Strategy::Utilisation {
                    tariff,
                    ceiling: Price::from_picodollars(ceiling),
                    rungs: Strategy::DEFAULT_RUNGS,
                },
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
        })
    }
}

/// A sample function: its module, and the payloads of the demo's traffic.
struct Sample {
    name: &'static str,
    module: &'static [u8],
    memory_mb: u32,
    timeout_ms: u32,
    payload: &'static str,
    /// Its share of the calls, in relation to the others.
    weight: u32,
}

const SAMPLES: [Sample; 5] = [
    Sample {
        name: "echo",
        module: include_bytes!("../functions/echo.wasm"),
        memory_mb: 128,
        timeout_ms: 3000,
        payload: "hello",
        weight: 3,
    },
    Sample {
        name: "sha256",
        module: include_bytes!("../functions/sha256.wasm"),
        memory_mb: 128,
        timeout_ms: 10_000,
        payload: "to be hashed",
        weight: 2,
    },
    Sample {
        name: "wordcount",
        module: include_bytes!("../functions/wordcount.wasm"),
        memory_mb: 128,
        timeout_ms: 10_000,
        payload: "the words of this payload are counted\n",
        weight: 2,
    },
    Sample {
        name: "mandelbrot",
        module: include_bytes!("../functions/mandelbrot.wasm"),
        memory_mb: 256,
        timeout_ms: 30_000,
        payload: "",
        weight: 2,
    },
    Sample {
        name: "wait",
        module: include_bytes!("../functions/wait.wasm"),
        memory_mb: 128,
        timeout_ms: 60_000,
        payload: "200",
        weight: 2,
    },
];

/// Deploys the sample functions for any provider. A function that is defined like this already is left alone.
pub(crate) async fn deploy_samples(exchange: &Transport) -> anyhow::Result<()> {
    let mut modules = ModulesClient::new(exchange.clone());
    let mut registry = RegistryClient::new(exchange.clone());
    for sample in &SAMPLES {
        let put = modules.put(v1::PutModuleRequest { module: sample.module.to_vec(), account: DEV.to_owned() }).await;
        let digest = put.with_context(|| format!("the module of {} was refused", sample.name))?.into_inner().digest;
        let code = v1::Code {
            memory_mb: sample.memory_mb,
            timeout_ms: sample.timeout_ms,
            module: digest,
            ..v1::Code::default()
        };
        let known = v1::GetFunctionRequest { account: DEV.to_owned(), name: sample.name.to_owned() };
        let known = registry.get_function(known).await.map(tonic::Response::into_inner);
        if known.is_ok_and(|function| function.revisions.last() == Some(&code)) {
            continue;
        }
        let settings = v1::FunctionSettings {
            idempotent: true,
            audience: Some(v1::Audience { kind: Kind::Any.into(), providers: Vec::new() }),
            ..v1::FunctionSettings::default()
        };
        let request = v1::PutFunctionRequest {
            account: DEV.to_owned(),
            name: sample.name.to_owned(),
            code: Some(code),
            settings: Some(settings),
        };
        registry.put_function(request).await.with_context(|| format!("{} could not be deployed", sample.name))?;
    }
    Ok(())
}

/// Starts the demo providers, each with a session of its own.
pub(crate) async fn start_providers(exchange: &Transport) -> anyhow::Result<Vec<Provider>> {
    let threads = SELLERS.iter().map(|seller| seller.slots).sum();
    let host = WasmHost::new(threads)?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut providers = Vec::new();
    for seller in &SELLERS {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "a demo provider").await?;
        let provider = host
            .start(seller.settings(cores)?, exchange.clone(), listener)
            .await
            .with_context(|| format!("the demo provider {} could not start", seller.name))?;
        quoted(&provider, 1).await?;
        providers.push(provider);
    }
    Ok(providers)
}

/// Warns when a session ends, as when another provider takes its name. The market goes on; this never returns.
pub(crate) async fn warn_of_ends(providers: &mut [Provider]) {
    let watched = providers.iter_mut().map(|provider| async move {
        if let Err(reason) = provider.ended().await {
            tracing::warn!(%reason, "a demo provider sells no more");
        }
    });
    futures_util::future::join_all(watched).await;
    std::future::pending().await
}

/// Calls the sample functions through the broker at about `rate` a second, until it is stopped.
pub(crate) async fn traffic(client: Client, rate: f64, stop: CancellationToken) {
    let mut random = rand_pcg::Pcg32::seed_from_u64(1);
    let weights: u32 = SAMPLES.iter().map(|sample| sample.weight).sum();
    loop {
        // Arrivals of a Poisson process: the time between them is exponential.
        let uniform: f64 = random.random();
        let pause = Duration::from_secs_f64((-(1.0 - uniform).ln() / rate).min(60.0));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let mut pick = random.random_range(0..weights);
        let Some(sample) = SAMPLES.iter().find(|sample| {
            let found = pick < sample.weight;
            pick = pick.saturating_sub(sample.weight);
            found
        }) else {
            continue;
        };
        let path = format!("/v1/functions/{}/invocations", sample.name);
        if let Err(error) = client.call(Method::POST, &path, &[], sample.payload).await {
            tracing::debug!("demo traffic: {error:#}");
        }
    }
}
