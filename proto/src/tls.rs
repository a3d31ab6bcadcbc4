//! TLS of a listener, from PEM files that may be replaced while it listens.
//!
//! Owns the certificate, its key and the CA of client certificates, and when they are read again. Never listens itself,
//! and decides nothing about who may call.

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

/// How often, at most, the files are looked at for a change.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a client may take to shake hands.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// The PEM files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that it was issued by.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Who must have issued the certificate that every client shows; none: clients show none.
    pub client_ca: Option<PathBuf>,
}

/// Why files do not make a listener's TLS.
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
pub enum Handshake {
    #[error("no handshake within 10 s")]
    TimedOut,
    #[error("the TLS handshake failed: {0}")]
    Failed(#[source] io::Error),
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// The TLS of a listener. Files that change are used from the next handshake on, at most a second later; while they are
/// broken, as between two writes, what was good before goes on being used.
pub struct ServerTls {
    files: TlsFiles,
    /// The application protocols offered, best first.
    protocols: Vec<Vec<u8>>,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    stamps: [Option<Stamp>; 3],
    look_at: Instant,
}

impl ServerTls {
    /// Reads the files. Offers `protocols` by ALPN, best first: `h2`, `http/1.1`.
    pub fn open(files: TlsFiles, protocols: &[&str]) -> Result<ServerTls, TlsError> {
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        // Before they are read: what is written meanwhile is read again.
        let stamps = files.stamps();
        let config = Arc::new(files.read(&protocols)?);
        let current = Mutex::new(Current { config, stamps, look_at: Instant::now() + LOOK_EVERY });
        Ok(ServerTls { files, protocols, current })
    }

    /// Whether clients must show a certificate.
    pub fn asks_clients(&self) -> bool {
        self.files.client_ca.is_some()
    }

    /// What accepts the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.acceptor_at(Instant::now())
    }

    /// Shakes hands over a new connection, within 10 s.
    pub async fn accept<S>(&self, stream: S) -> Result<TlsStream<S>, Handshake>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match tokio::time::timeout(HANDSHAKE_WITHIN, self.acceptor().accept(stream)).await {
            Ok(accepted) => accepted.map_err(Handshake::Failed),
            Err(_) => Err(Handshake::TimedOut),
        }
    }

    fn acceptor_at(&self, now: Instant) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= current.look_at {
            current.look_at = now + LOOK_EVERY;
            self.look(&mut current);
        }
        TlsAcceptor::from(current.config.clone())
    }

    /// Reads the files again if they have changed.
    fn look(&self, current: &mut Current) {
        let stamps = self.files.stamps();
        if stamps == current.stamps {
            return;
        }
        current.stamps = stamps;
        match self.files.read(&self.protocols) {
            Ok(config) => {
                tracing::info!(cert = %self.files.cert.display(), "the certificate was read again");
                current.config = Arc::new(config);
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the certificate was replaced by one that cannot be used; the one before goes on"
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
mod tests;
