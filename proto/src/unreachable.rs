//! The error of an exchange that cannot be reached: its URL, the cause and the remedy, in one sentence.
//!
//! The flags named are those of `merit`'s commands. Never decides about another attempt.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Response, StatusCode, header};
use rustls::{AlertDescription, CertificateError};
use tonic::Status;

/// An error of a transport.
pub type TransportError = Box<dyn Error + Send + Sync>;

/// The address of an exchange.
#[derive(Debug)]
pub(crate) struct ExchangeAddress {
    pub(crate) url: String,
    is_tls: bool,
    /// True once an exchange has answered there.
    is_exchange: AtomicBool,
}

impl ExchangeAddress {
    pub(crate) fn new(url: String, is_tls: bool) -> ExchangeAddress {
        ExchangeAddress { url, is_tls, is_exchange: AtomicBool::new(false) }
    }

    /// Returns the status of a call that did not reach the exchange.
    pub(crate) fn unreachable(&self, error: &tonic::transport::Error) -> TransportError {
        Status::unavailable(self.sentence(error)).into()
    }

    /// Refuses the answer of a server that is no exchange: it knows no such path, and says so by plain HTTP.
    pub(crate) fn check<T>(&self, answer: Response<T>) -> Result<Response<T>, TransportError> {
        let is_grpc = |kind: &http::HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
        if answer.headers().get(header::CONTENT_TYPE).is_some_and(is_grpc) {
            self.is_exchange.store(true, Ordering::Relaxed);
            return Ok(answer);
        }
        if !matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(answer);
        }
        let said = format!(
            "the server at {} is no exchange: it answers {} by plain HTTP, as a broker's front door does; name the \
             exchange's own address with --exchange, whose port is 7070 by default",
            self.url,
            answer.status().as_u16()
        );
        Err(Status::unavailable(said).into())
    }

    fn sentence(&self, error: &tonic::transport::Error) -> String {
        let url = &self.url;
        let causes: Vec<&(dyn Error + 'static)> =
            std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source()).collect();
        if let Some(tls) = causes.iter().find_map(|cause| tls_error(*cause)) {
            return of_tls(tls, url);
        }
        let last = || causes.last().map_or_else(String::new, ToString::to_string);
        if causes.iter().any(|cause| cause.to_string().starts_with("dns error")) {
            return format!("the name in {url} cannot be resolved: {}", last());
        }
        let system = causes.iter().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        match system {
            Some(io::ErrorKind::ConnectionRefused) => {
                format!(
                    "nothing listens at {url}; start an exchange there with `merit exchange`, or name another with \
                     --exchange"
                )
            }
            Some(io::ErrorKind::TimedOut) => format!("{url} does not answer; name the exchange with --exchange"),
            _ if self.is_exchange.load(Ordering::Relaxed) => format!("the connection to {url} was lost: {}", last()),
            Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) if self.is_tls => no_tls(url),
            // A server that awaits TLS or HTTP/1.1 ends the connection, or answers something else than HTTP/2.
            _ if !self.is_tls && hangs_up(system) => format!(
                "the server at {url} hangs up, or does not speak HTTP/2 in the clear; if it has a certificate, name \
                 it by https://, and if it is no exchange, name one with --exchange"
            ),
            _ => format!("the connection to {url} failed: {}", last()),
        }
    }
}

/// Returns true if the server closed the connection, or if the error has no system error.
fn hangs_up(system: Option<io::ErrorKind>) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(system, None | Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
}

/// Returns the TLS error that an error of the system carries.
fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let carried = |error: &'a io::Error| error.get_ref()?.downcast_ref::<rustls::Error>();
    cause.downcast_ref::<rustls::Error>().or_else(|| cause.downcast_ref::<io::Error>().and_then(carried))
}

fn no_tls(url: &str) -> String {
    format!("the server at {url} does not speak TLS; if it has no certificate, name it by http://")
}

fn of_tls(error: &rustls::Error, url: &str) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "the certificate of {url} is of a CA that this machine does not trust; name the CA's PEM file with \
             --exchange-ca"
        ),
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the certificate of {url} has expired")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("the certificate of {url} is not for this name; name the exchange as its certificate does"),
        // `webpki`'s error for a CA certificate that is used as a server's.
        rustls::Error::InvalidCertificate(CertificateError::Other(why))
            if why.to_string().contains("CaUsedAsEndEntity") =>
        {
            format!(
                "the certificate of {url} is that of a CA; give the exchange one that the CA issued, and name the CA's \
                 PEM file with --exchange-ca"
            )
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            format!("{url} asks for a certificate of this side; name one with --exchange-cert and --exchange-cert-key")
        }
        rustls::Error::InvalidMessage(_) => no_tls(url),
        other => format!("TLS with {url} failed: {other}"),
    }
}
