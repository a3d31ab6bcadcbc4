//! `merit up`: everything in one process, with nothing to configure.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, bail};
use merit_broker::{Access, Server, Settings};
use tokio_util::sync::CancellationToken;

use crate::access::{HTTP_PROTOCOLS, KeyArguments, TlsArguments};
use crate::broker::{AccessLogArguments, AddressArguments, PageArguments};
use crate::client::Client;
use crate::demo;
use crate::exchange::{self, DirectoryArguments, GRPC_PROTOCOLS};
use crate::listen::{address, bind, socket};
use crate::output::{announce, announce_ready};
use crate::shutdown::{self, DRAIN, EXCHANGE_DRAIN};
use crate::wasm_host;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: DirectoryArguments,
    /// Address of the front doors and the page
    #[arg(long, default_value = "127.0.0.1:8080", env = "MERIT_HTTP", value_parser = socket)]
    http: SocketAddr,
    /// Address for providers and other brokers
    #[arg(long, default_value = "127.0.0.1:7070", env = "MERIT_GRPC", value_parser = socket)]
    grpc: SocketAddr,
    /// Start no demo providers and deploy no sample functions
    #[arg(long)]
    no_demo: bool,
    /// Demo calls a second on average, rising and falling; 0 for none
    #[arg(long, default_value_t = 12.0, value_name = "RATE", value_parser = rate)]
    demo_traffic: f64,
    #[command(flatten)]
    page: PageArguments,
    #[command(flatten)]
    keys: KeyArguments,
    #[command(flatten)]
    tls: TlsArguments,
    #[command(flatten)]
    access_log: AccessLogArguments,
    #[command(flatten)]
    addresses: AddressArguments,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate is 0 to 1000 calls a second".to_owned()),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (stop, started) = (shutdown::on_signal()?, Instant::now());
    let http_listener = bind(arguments.http, "--http").await?;
    let grpc_listener = bind(arguments.grpc, "--grpc").await?;
    let (http, grpc) = (address(&http_listener)?, address(&grpc_listener)?);

    let tls = arguments.tls.open(&GRPC_PROTOCOLS)?;
    let http_tls = arguments.tls.open_without_clients(&HTTP_PROTOCOLS)?;
    let (http_scheme, grpc_scheme) = if tls.is_some() { ("https", "grpcs") } else { ("http", "grpc") };
    let exchange = exchange::open(&arguments.data, arguments.keys.keyless(&[http, grpc])).await?;
    if let Err(refused) = exchange.check_address(grpc).and_then(|()| exchange.check_address(http)) {
        exchange.close();
        return Err(refused.into());
    }
    // Demo calls show no key, and the demo's functions are not for strangers.
    let demo_wanted = !arguments.no_demo && exchange.is_keyless() && wasm_host::IS_BUILT;
    let in_process = exchange.in_process().await.context("the protocol's description")?;
    let access = if exchange.is_keyless() { Access::KeylessLoopback } else { Access::Keys };
    let settings = Settings {
        exchange: in_process.clone(),
        page: arguments.page.page(),
        access,
        tls: http_tls,
        access_log: arguments.access_log.share(),
        addresses: arguments.addresses.policy(access),
        provider_authorities: arguments.addresses.authorities()?,
    };
    let broker = Server::new(http_listener, settings)?;

    // Providers and remote brokers keep the exchange until the broker here has drained.
    let stop_exchange = CancellationToken::new();
    let serving = {
        let (exchange, stop) = (exchange.clone(), stop_exchange.clone());
        tokio::spawn(async move { exchange.serve(grpc_listener, tls, stop.cancelled_owned(), EXCHANGE_DRAIN).await })
    };
    let broker = tokio::spawn(broker.serve(stop.clone().cancelled_owned(), DRAIN));

    let demo = async {
        if !demo_wanted {
            return Ok(None);
        }
        demo::deploy_samples(&in_process).await?;
        demo::Sellers::start(&in_process).await.map(Some)
    };
    let mut sellers = tokio::select! {
        started = demo => started?,
        () = stop.cancelled() => None,
    };
    if !stop.is_cancelled() {
        announce_ready(&format!("{http_scheme}://{http} {grpc_scheme}://{grpc}"), started);
        if demo_wanted {
            print_first_steps(http_scheme, http);
        } else if !wasm_host::IS_BUILT {
            announce(wasm_host::NOT_BUILT);
        }
        if demo_wanted && arguments.demo_traffic > 0.0 && http_scheme == "http" {
            let client = Client::at(&format!("http://{http}"))?;
            // Both end with `stop`.
            tokio::spawn(demo::demand::calls(client, arguments.demo_traffic, stop.clone()));
            tokio::spawn(demo::demand::deferred_bids(in_process.clone(), stop.clone()));
        }
    }

    tokio::select! {
        () = stop.cancelled() => {}
        reason = exchange.stopped() => bail!("the exchange stops: {reason}"),
        () = async {
            match &mut sellers {
                Some(sellers) => sellers.run().await,
                None => std::future::pending().await,
            }
        } => {}
    }
    broker.await.context("the broker's task failed")?.context("the broker failed")?;
    if let Some(sellers) = sellers {
        sellers.stop().await?;
    }
    stop_exchange.cancel();
    serving.await.context("the exchange's task failed")??;
    exchange.close();
    Ok(())
}

fn print_first_steps(scheme: &str, http: SocketAddr) {
    // The path by which it was called: it need not be in PATH.
    let merit = std::env::args().next().unwrap_or_else(|| "merit".to_owned());
    announce(&format!("the market: {scheme}://{http}/\ntry:"));
    announce(&format!("  curl -i --data hello {scheme}://{http}/v1/functions/echo/invocations"));
    let at = if http.port() == 8080 { String::new() } else { format!(" --broker {scheme}://{http}") };
    announce(&format!("  {merit} quote mandelbrot{at}\n  {merit} book local/wasm{at}"));
}
