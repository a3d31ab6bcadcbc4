//! An exchange that cannot be reached: where, what was seen there, and what to do, in a sentence.
//!
//! The flags named are those of `merit`'s commands. Never decides about another attempt.

use std::error::Error;
use std::io;

use http::{Response, StatusCode, header};
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use tonic::Status;

/// An error of a transport.
pub type TransportError = Box<dyn Error + Send + Sync>;

/// The log of an exchange that is waited for: each reason once, until another or until it answers.
#[derive(Debug, Default)]
pub struct WaitLog {
    reason: Option<String>,
}

impl WaitLog {
    /// Logs that the exchange at a place is waited for, unless the last reason was the same.
    pub fn waits(&mut self, place: &str, reason: &str) {
        if self.reason.as_deref() != Some(reason) {
            tracing::warn!("waiting for the exchange {place}: {reason}");
            self.reason = Some(reason.to_owned());
        }
    }

    /// Notes that the exchange answers.
    pub fn answers(&mut self) {
        self.reason = None;
    }
}

/// Returns the status of a call that did not reach the exchange at `url`.
pub(crate) fn unreachable(error: &tonic::transport::Error, url: &str) -> TransportError {
    Status::unavailable(sentence(error, url)).into()
}

/// Refuses the answer of a server that is no exchange: it knows no such path, and says so by plain HTTP.
pub(crate) fn check_answer<T>(answer: Response<T>, url: &str) -> Result<Response<T>, TransportError> {
    let is_grpc = |kind: &http::HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
    let is_plain = !answer.headers().get(header::CONTENT_TYPE).is_some_and(is_grpc);
    if !is_plain || !matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
        return Ok(answer);
    }
    let said = format!(
        "the server at {url} is no exchange: it answers {} by plain HTTP, as a broker's front door does; name the \
         exchange's own address with --exchange, whose port is 7070 by default",
        answer.status().as_u16()
    );
    Err(Status::unavailable(said).into())
}

fn sentence(error: &tonic::transport::Error, url: &str) -> String {
    let causes: Vec<&(dyn Error + 'static)> =
        std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source()).collect();
    let tls = causes.iter().find_map(|cause| tls_error(*cause));
    let system = causes.iter().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let in_clear = !url.starts_with("https:");
    if let Some(tls) = tls {
        return of_tls(tls, url);
    }
    let last = || causes.last().map_or_else(String::new, ToString::to_string);
    if causes.iter().any(|cause| cause.to_string().starts_with("dns error")) {
        return format!("the name in {url} cannot be resolved: {}", last());
    }
    match system {
        Some(io::ErrorKind::ConnectionRefused) => {
            format!(
                "nothing listens at {url}; start an exchange there with `merit exchange`, or name another with \
                 --exchange"
            )
        }
        Some(io::ErrorKind::TimedOut) => format!("{url} does not answer; name the exchange with --exchange"),
        Some(io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) if !in_clear => no_tls(url),
        // A server that awaits TLS or HTTP/1.1 does either.
        _ if in_clear && hangs_up(system) => format!(
            "the server at {url} hangs up, or does not speak HTTP/2 in the clear; if it has a certificate, name it by \
             https://, and if it is no exchange, name one with --exchange"
        ),
        _ => format!("the connection to {url} failed: {}", last()),
    }
}

/// Returns true for an error after the connection was made: the system knows none, or the other side has ended it.
fn hangs_up(system: Option<io::ErrorKind>) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(system, None | Some(BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
}

/// Returns the TLS error that an error of the system carries.
fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let carried = |error: &'a io::Error| error.get_ref()?.downcast_ref::<TlsError>();
    cause.downcast_ref::<TlsError>().or_else(|| cause.downcast_ref::<io::Error>().and_then(carried))
}

fn no_tls(url: &str) -> String {
    format!("the server at {url} does not speak TLS; if it has no certificate, name it by http://")
}

fn of_tls(error: &TlsError, url: &str) -> String {
    match error {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "the certificate of {url} is of a CA that this machine does not trust; name the CA's PEM file with \
             --exchange-ca"
        ),
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the certificate of {url} has expired")
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("the certificate of {url} is not for this name; name the exchange as its certificate does"),
        // What `webpki` says of a certificate that is its own CA.
        TlsError::InvalidCertificate(CertificateError::Other(why)) if why.to_string().contains("CaUsedAsEndEntity") => {
            format!(
                "the certificate of {url} is that of a CA; give the exchange one that the CA issued, and name the CA's \
                 PEM file with --exchange-ca"
            )
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => {
            format!("{url} asks for a certificate of this side; name one with --exchange-cert and --exchange-cert-key")
        }
        TlsError::InvalidMessage(_) => no_tls(url),
        other => format!("TLS with {url} failed: {other}"),
    }
}
