//! Keys and TLS on the command line: the connection to an exchange, and the security of a listener. Opens no socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use merit_listener::{ServerTls, TlsFiles};
use merit_proto::{Connection, Transport};
use merit_terms::Credential;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Connection to an exchange.
#[derive(clap::Args)]
pub(crate) struct ExchangeArguments {
    /// The exchange
    #[arg(long, default_value = "http://127.0.0.1:7070", env = "MERIT_EXCHANGE", global = true)]
    pub(crate) exchange: String,
    /// Key, ID.SECRET; prefer MERIT_KEY, other users can see a command line
    // A text, because an error must not repeat a wrong key.
    #[arg(long, env = "MERIT_KEY", hide_env_values = true, global = true)]
    key: Option<String>,
    /// The PEM file of the CA that issued the exchange's certificate; without it, those that this machine trusts
    #[arg(long, value_name = "FILE", env = "MERIT_EXCHANGE_CA", global = true)]
    exchange_ca: Option<PathBuf>,
    /// The PEM file of a certificate to show to the exchange
    #[arg(long, value_name = "FILE", env = "MERIT_EXCHANGE_CERT", global = true)]
    exchange_cert: Option<PathBuf>,
    /// The PEM file of that certificate's key
    #[arg(long, value_name = "FILE", env = "MERIT_EXCHANGE_CERT_KEY", global = true)]
    exchange_cert_key: Option<PathBuf>,
}

impl ExchangeArguments {
    /// Returns whether a key is shown there: only an exchange that asks for keys has given one.
    pub(crate) fn shows_key(&self) -> bool {
        self.key.as_deref().is_some_and(|key| !key.is_empty())
    }

    pub(crate) fn connect(&self) -> anyhow::Result<Transport> {
        let key = self.key.as_deref().filter(|key| !key.is_empty()).map(str::parse::<Credential>).transpose();
        let identity = match (&self.exchange_cert, &self.exchange_cert_key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            _ => bail!("--exchange-cert and --exchange-cert-key belong together; give both"),
        };
        let connection = Connection {
            url: self.exchange.clone(),
            ca: self.exchange_ca.clone(),
            identity,
            key: key.context("--key (or MERIT_KEY)")?,
        };
        if let Some(ca) = &self.exchange_ca {
            authorities(ca, "--exchange-ca")?;
        }
        Transport::connect(&connection).context("--exchange")
    }
}

/// TLS of a listener.
#[derive(clap::Args)]
pub(crate) struct TlsArguments {
    /// TLS certificate chain, PEM; reloaded when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "MERIT_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The PEM file of the certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "MERIT_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Serve only clients that show a certificate of this CA, a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "MERIT_TLS_CLIENT_CA")]
    tls_client_ca: Option<PathBuf>,
}

impl TlsArguments {
    /// Opens the TLS of a listener that offers `protocols`, best first. Returns none if no certificate is named.
    pub(crate) fn open(&self, protocols: &[&str]) -> anyhow::Result<Option<ServerTls>> {
        let (Some(cert), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) else { return Ok(None) };
        let files = TlsFiles { cert, key, client_ca: self.tls_client_ca.clone() };
        ServerTls::open(files, protocols).context("--tls-cert").map(Some)
    }

    /// Opens the TLS of a listener whose clients show keys, not certificates.
    pub(crate) fn open_without_clients(&self, protocols: &[&str]) -> anyhow::Result<Option<ServerTls>> {
        let (Some(cert), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) else { return Ok(None) };
        ServerTls::open(TlsFiles { cert, key, client_ca: None }, protocols).context("--tls-cert").map(Some)
    }
}

/// Reads the certificates of CAs in the PEM file of a flag. Refuses a file without any.
pub(crate) fn authorities(path: &Path, flag: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let wrong = || format!("{flag} {}", path.display());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).with_context(wrong)?.collect();
    match certificates.with_context(wrong)? {
        none if none.is_empty() => bail!("{flag} {} has no certificate", path.display()),
        some => Ok(some),
    }
}

/// Protocols of the front doors, best first.
pub(crate) const HTTP_PROTOCOLS: [&str; 2] = ["h2", "http/1.1"];

/// Choice whether callers show keys.
#[derive(clap::Args)]
pub(crate) struct KeyArguments {
    /// Require keys on loopback, too; other addresses always do
    #[arg(long, env = "MERIT_REQUIRE_KEYS")]
    require_keys: bool,
}

impl KeyArguments {
    /// Returns whether callers at these addresses need no key: only this machine reaches them.
    pub(crate) fn keyless(&self, addresses: &[SocketAddr]) -> bool {
        !self.require_keys && addresses.iter().all(|address| address.ip().is_loopback())
    }
}
