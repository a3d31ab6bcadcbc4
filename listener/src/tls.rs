//! TLS of a listener, from PEM files that may be replaced while it listens.
//!
//! Owns the certificate, its key and the CA of client certificates, and when they are read again. Never listens itself
//! and decides nothing about callers.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Minimum interval between two checks of the files for a change.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout of a client's handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The PEM files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its issuers.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The CA that must have issued each client's certificate; `None` if clients show none.
    pub client_ca: Option<PathBuf>,
}

/// A file that cannot be used for a listener's TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("could not read {path}; name a PEM file that this process may read")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} holds no {what} in PEM; name the file that begins with `-----BEGIN {label}-----`")]
    Nothing { path: PathBuf, what: &'static str, label: &'static str },
    #[error("{path} is not well-formed PEM")]
    Malformed { path: PathBuf, source: pem::Error },
    #[error("{path}: the certificate of the CA cannot be used")]
    Ca { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{cert} and {key} do not make a pair; the key must be the one that the certificate was issued for")]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
}

/// A failed handshake.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("no handshake within 10 s")]
    TimedOut,
    #[error("the TLS handshake failed: {0}")]
    Failed(#[source] io::Error),
}

/// The version of a file: it changes when the file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// The TLS of a listener. Changed files are used from the next handshake on, at most a second later. While they are
/// broken, as between two writes, the last good ones stay in use.
pub struct ServerTls {
    files: TlsFiles,
    /// The application protocols offered, best first.
    protocols: Vec<Vec<u8>>,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    stamps: [Option<Stamp>; 3],
    check_at: Instant,
}

impl ServerTls {
    /// Reads the files. Offers `protocols` by ALPN, best first: `h2`, `http/1.1`.
    pub fn open(files: TlsFiles, protocols: &[&str]) -> Result<ServerTls, TlsError> {
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        // Taken before the files are read, so that a write meanwhile has them read again.
        let stamps = files.stamps();
        let config = Arc::new(files.read(&protocols)?);
        let loaded = Mutex::new(Loaded { config, stamps, check_at: Instant::now() + CHECK_INTERVAL });
        Ok(ServerTls { files, protocols, loaded })
    }

    /// Returns true if clients must show a certificate.
    pub fn asks_clients(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// Returns an acceptor for the next connection, by the newest files.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_at(Instant::now())
    }

    /// Shakes hands over a new connection, within 10 s.
    pub async fn accept<S>(&self, stream: S) -> Result<TlsStream<S>, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, self.acceptor().accept(stream)).await {
            Ok(accepted) => accepted.map_err(HandshakeError::Failed),
            Err(_) => Err(HandshakeError::TimedOut),
        }
    }

    fn acceptor_at(&self, now: Instant) -> TlsAcceptor {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= loaded.check_at {
            loaded.check_at = now + CHECK_INTERVAL;
            self.reload(&mut loaded);
        }
        TlsAcceptor::from(loaded.config.clone())
    }

    /// Reads the files again if they have changed.
    fn reload(&self, loaded: &mut Loaded) {
        let stamps = self.files.stamps();
        if stamps == loaded.stamps {
            return;
        }
        loaded.stamps = stamps;
        match self.files.read(&self.protocols) {
            Ok(config) => {
                tracing::info!(cert = %self.files.cert.display(), "the certificate was read again");
                loaded.config = Arc::new(config);
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the new certificate cannot be used; the previous one stays in use"
            ),
        }
    }
}

impl TlsFiles {
    fn stamps(&self) -> [Option<Stamp>; 3] {
        [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()]
            .map(|path| fs::metadata(path?).ok().as_ref().map(Stamp::of))
    }

    fn read(&self, protocols: &[Vec<u8>]) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let pair = |source| TlsError::Pair { cert: self.cert.clone(), key: self.key.clone(), source };
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(pair)?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let unusable = |source| TlsError::Ca { path: path.clone(), source };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|error| unusable(error.into()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(error.into()))?)
            }
        };
        let mut config = builder.with_single_cert(certificates(&self.cert)?, private_key(&self.key)?).map_err(pair)?;
        config.alpn_protocols = protocols.to_vec();
        Ok(config)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp { inode: metadata.ino(), bytes: metadata.len(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = read.map_err(|source| TlsError::Malformed { path: path.to_owned(), source })?;
    match found.is_empty() {
        true => Err(TlsError::Nothing { path: path.to_owned(), what: "certificate", label: "CERTIFICATE" }),
        false => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            TlsError::Nothing { path: path.to_owned(), what: "private key", label: "PRIVATE KEY" }
        }
        source => TlsError::Malformed { path: path.to_owned(), source },
    })
}

#[cfg(test)]
#[path = "../tests/unit/tls.rs"]
mod tests;
