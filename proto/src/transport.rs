//! One client type for an exchange in this process or across a network.
//!
//! A generated tonic server is itself a service over HTTP requests, so it serves as the transport of its own
//! generated client: nothing is written twice for the two cases. A broker's stream, which carries every call, is the
//! exception: in this process its messages are handed over as they are.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri};
use merit_terms::Credential;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tower::Service;

use crate::unreachable::{ExchangeAddress, TransportError};
use crate::v1::{BrokerMessage, BrokerageMessage};

/// A client's way to the exchange.
#[derive(Clone, Debug)]
pub enum Transport {
    InProcess(InProcess),
    Network(Network),
}

/// An exchange in this process: its services, and the opener of brokers' streams.
#[derive(Clone, Debug)]
pub struct InProcess {
    services: Routes,
    broker_streams: Option<BrokerStreams>,
}

/// The exchange's messages to a broker over its stream; an error ends it.
pub type BrokerAnswers = mpsc::Receiver<Result<BrokerageMessage, Status>>;

/// Opens brokers' streams in this process, where no message is encoded.
#[derive(Clone)]
pub struct BrokerStreams(Arc<dyn Fn(mpsc::Receiver<BrokerMessage>) -> BrokerAnswers + Send + Sync>);

impl BrokerStreams {
    /// Opens a stream on which the exchange reads `messages`. Returns the stream of its answers.
    pub fn open(&self, messages: mpsc::Receiver<BrokerMessage>) -> BrokerAnswers {
        self.0(messages)
    }
}

impl std::fmt::Debug for BrokerStreams {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BrokerStreams")
    }
}

impl InProcess {
    /// Makes a transport by the exchange's services alone.
    pub fn new(services: Routes) -> InProcess {
        InProcess { services, broker_streams: None }
    }

    /// Makes a transport with `open` for brokers' streams, which would go by the services otherwise.
    pub fn with_broker_streams(
        services: Routes,
        open: impl Fn(mpsc::Receiver<BrokerMessage>) -> BrokerAnswers + Send + Sync + 'static,
    ) -> InProcess {
        InProcess { services, broker_streams: Some(BrokerStreams(Arc::new(open))) }
    }
}

/// A connection to an exchange elsewhere, and the key that each call shows there.
#[derive(Clone, Debug)]
pub struct Network {
    channel: Channel,
    authorization: Option<HeaderValue>,
    address: Arc<ExchangeAddress>,
}

/// The address of an exchange, and the TLS and key of calls to it.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// `http://` or `https://`, host and port.
    pub url: String,
    /// With https: PEM file of the CA that issued the exchange's certificate; `None` for the CAs that this machine
    /// trusts.
    pub ca: Option<PathBuf>,
    /// With https: PEM files of the certificate that is shown to the exchange and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The key that each call shows.
    pub key: Option<Credential>,
}

/// A connection that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("`{url}` is not the URL of an exchange, such as http://127.0.0.1:7070")]
    Url { url: String, source: tonic::transport::Error },
    #[error("`{url}` is not the URL of an exchange: it begins with http:// or https://, as in http://127.0.0.1:7070")]
    Scheme { url: String },
    #[error("`{url}` cannot be the URL of an exchange")]
    Port { url: String, source: merit_terms::PortError },
    #[error("a key is not sent to {url} in the clear; name the exchange by https://, or by a loopback address")]
    KeyInTheClear { url: String },
    #[error("{url} is without TLS, but a CA or a certificate is given; name it by https://")]
    NotTls { url: String },
    #[error("could not read {path}; name a PEM file that this process may read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the CA, the certificate or its key for {url} cannot be used; each is a PEM file")]
    Tls { url: String, source: tonic::transport::Error },
    #[error("the key cannot be sent in a header")]
    Key(#[from] http::header::InvalidHeaderValue),
}

impl Connection {
    /// Makes a connection to the exchange at `url`, without a key and by the CAs that this machine trusts.
    pub fn to(url: &str) -> Connection {
        Connection { url: url.to_owned(), ..Connection::default() }
    }

    fn tls(&self) -> Result<ClientTlsConfig, ConnectError> {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            Some(ca) => tls.ca_certificate(Certificate::from_pem(read(ca)?)),
            None => tls.with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(tls)
    }
}

impl Transport {
    /// Returns the opener of brokers' streams if the exchange is in this process.
    pub fn broker_streams(&self) -> Option<&BrokerStreams> {
        match self {
            Transport::InProcess(exchange) => exchange.broker_streams.as_ref(),
            Transport::Network(_) => None,
        }
    }

    /// Returns the place of the exchange, for a sentence: `at URL`, or `in this process`.
    pub fn place(&self) -> String {
        match self {
            Transport::InProcess(_) => "in this process".to_owned(),
            Transport::Network(network) => format!("at {}", network.address.url),
        }
    }

    /// Makes a transport to the exchange at `url`, without a key. Connects at the first call, and again after the
    /// connection is lost.
    pub fn network(url: &str) -> Result<Transport, ConnectError> {
        Transport::connect(&Connection::to(url))
    }

    /// Makes a transport to an exchange elsewhere. Connects at the first call, and again after the connection is lost.
    /// Refuses to send a key in the clear to a host that is not loopback.
    pub fn connect(connection: &Connection) -> Result<Transport, ConnectError> {
        let url = || connection.url.clone();
        let endpoint = Endpoint::from_shared(url()).map_err(|source| ConnectError::Url { url: url(), source })?;
        let authority = endpoint.uri().authority().map_or("", |authority| authority.as_str());
        merit_terms::port_of(authority).map_err(|source| ConnectError::Port { url: url(), source })?;
        // Without a scheme every call would fail with an error that does not say so.
        let endpoint = match endpoint.uri().scheme_str() {
            Some("https") => {
                let configured = endpoint.tls_config(connection.tls()?);
                configured.map_err(|source| ConnectError::Tls { url: url(), source })?
            }
            Some("http") if connection.ca.is_some() || connection.identity.is_some() => {
                return Err(ConnectError::NotTls { url: url() });
            }
            Some("http") if connection.key.is_some() && !is_loopback(endpoint.uri()) => {
                return Err(ConnectError::KeyInTheClear { url: url() });
            }
            Some("http") => endpoint,
            _ => return Err(ConnectError::Scheme { url: url() }),
        };
        let address = Arc::new(ExchangeAddress::new(url(), endpoint.uri().scheme_str() == Some("https")));
        let channel = endpoint
            .connect_timeout(Duration::from_secs(3))
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .connect_lazy();
        let authorization = connection.key.as_ref().map(bearer).transpose()?;
        Ok(Transport::Network(Network { channel, authorization, address }))
    }
}

/// Makes the header that shows a key. It is marked sensitive, so that debug output hides it.
fn bearer(key: &Credential) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    std::fs::read(path).map_err(|source| ConnectError::Read { path: path.to_owned(), source })
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match self {
            Transport::InProcess(exchange) => {
                <Routes as Service<Request<Body>>>::poll_ready(&mut exchange.services, context)
                    .map_err(TransportError::from)
            }
            Transport::Network(network) => network.channel.poll_ready(context).map_err(TransportError::from),
        }
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self {
            Transport::InProcess(exchange) => {
                let answer = exchange.services.call(request);
                Box::pin(async move { answer.await.map_err(TransportError::from) })
            }
            Transport::Network(network) => {
                if let Some(authorization) = &network.authorization {
                    request.headers_mut().insert(AUTHORIZATION, authorization.clone());
                }
                let (answer, address) = (network.channel.call(request), network.address.clone());
                Box::pin(async move {
                    let answer = answer.await.map_err(|error| address.unreachable(&error))?;
                    address.check(answer)
                })
            }
        }
    }
}

#[cfg(test)]
#[path = "../tests/unit/transport.rs"]
mod tests;
