//! `merit broker`: front doors and dispatch, with an exchange elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use merit_broker::addresses::{Network, Policy};
use merit_broker::{Access, Page, Server, Settings};
use rustls::pki_types::CertificateDer;

use crate::access::{ExchangeArguments, HTTP_PROTOCOLS, KeyArguments, TlsArguments, authorities};
use crate::listen::{address, bind, socket};
use crate::output::announce_ready;
use crate::shutdown::{self, DRAIN};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    exchange: ExchangeArguments,
    /// Address of the front doors
    #[arg(long, default_value = "127.0.0.1:8080", env = "MERIT_HTTP", value_parser = socket)]
    http: SocketAddr,
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

/// Addresses that calls may go to.
#[derive(clap::Args)]
pub(crate) struct AddressArguments {
    /// Private network that sellers' endpoints and targets may be in, such as 10.1.0.0/16. Public addresses are always
    /// allowed. A provider logged on with the operator's key may be in any network; metadata services are never called.
    /// Functions' owners name no more by it: only what a provider's owner allows
    #[arg(long = "allow-network", value_name = "CIDR", env = "MERIT_ALLOW_NETWORK", value_delimiter = ',')]
    allow_networks: Vec<Network>,
    /// The PEM file of CAs for the certificates of sellers' https endpoints, beside those that this machine trusts
    #[arg(long, value_name = "FILE", env = "MERIT_PROVIDER_CA")]
    provider_ca: Option<PathBuf>,
}

impl AddressArguments {
    /// Returns the policy of an access: a market without keys serves this machine alone, with its agents.
    pub(crate) fn policy(&self, access: Access) -> Policy {
        Policy { allowed: self.allow_networks.clone(), allow_loopback: access == Access::KeylessLoopback }
    }

    /// Reads the certificates of `--provider-ca`.
    pub(crate) fn authorities(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        self.provider_ca.as_deref().map_or_else(|| Ok(Vec::new()), |path| authorities(path, "--provider-ca"))
    }
}

#[derive(clap::Args)]
pub(crate) struct AccessLogArguments {
    /// Share of requests in the access log, 0 to 1; above 0, every 5xx is logged
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", env = "MERIT_ACCESS_LOG", value_parser = share)]
    access_log: f64,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "a share is from 0 to 1".to_owned())
}

impl AccessLogArguments {
    pub(crate) fn share(&self) -> f64 {
        self.access_log
    }
}

#[derive(clap::Args)]
pub(crate) struct PageArguments {
    /// The folder of the built page
    #[arg(long, env = "MERIT_PAGE")]
    page: Option<PathBuf>,
}

impl PageArguments {
    /// Returns the named folder, or the built page.
    pub(crate) fn page(&self) -> Page {
        match &self.page {
            Some(folder) => Page::Folder(folder.clone()),
            None => built_page(),
        }
    }
}

// The files of the page, as far as it was built before this binary: `PAGE`.
include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Returns the page that this source tree built last, else the one inside the binary.
fn built_page() -> Page {
    const FOLDER: &str = "broker/dashboard/dist";
    // A binary in target/release of its source tree finds the page from anywhere.
    let beside = std::env::current_exe().ok().and_then(|binary| Some(binary.parent()?.join("../..").join(FOLDER)));
    let beside = beside.filter(|folder| folder.parent().is_some_and(|parent| parent.is_dir()));
    match beside {
        Some(folder) if PAGE.is_empty() || folder.join("index.html").is_file() => Page::Folder(folder),
        _ if PAGE.is_empty() => Page::Folder(FOLDER.into()),
        _ => Page::Embedded(PAGE),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (stop, started) = (shutdown::on_signal()?, Instant::now());
    let exchange = arguments.exchange.connect()?;
    let listener = bind(arguments.http, "--http").await?;
    let http = address(&listener)?;
    // Where the exchange asks for keys, there is no account `dev`.
    let is_keyless = arguments.keys.keyless(&[http]) && !arguments.exchange.shows_key();
    let access = if is_keyless { Access::KeylessLoopback } else { Access::Keys };
    let tls = arguments.tls.open_without_clients(&HTTP_PROTOCOLS)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let broker = Server::new(
        listener,
        Settings {
            exchange,
            page: arguments.page.page(),
            access,
            tls,
            access_log: arguments.access_log.share(),
            addresses: arguments.addresses.policy(access),
            provider_authorities: arguments.addresses.authorities()?,
        },
    )?;
    announce_ready(&format!("{scheme}://{http}"), started);
    broker.serve(stop.cancelled_owned(), DRAIN).await.context("the broker failed")
}
