//! The failures before anything is measured. Never one of a measurement.

use http::StatusCode;

/// A failure to start a target.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("{0} cannot be started")]
    Start(String, #[source] std::io::Error),
    #[error("{program} did not begin to serve within {seconds} s; it said: {said}")]
    Silent { program: String, seconds: u64, said: String },
    #[error("a directory for the bench cannot be made or written")]
    Directory(#[source] std::io::Error),
    #[error("the cores of this thread cannot be set")]
    Cores(#[source] std::io::Error),
    #[error("the provider behind the measured process cannot listen")]
    Backend(#[source] std::io::Error),
    #[error("no session with the exchange")]
    Connect(#[from] merit_proto::ConnectError),
    #[error("the exchange ended or refused the provider's session")]
    Session(#[from] Box<tonic::Status>),
    #[error("a key could not be made")]
    Key,
    #[error("the exchange did not take the provider's offer: {0}")]
    Offer(String),
    #[error("{what} was answered {status}: {body}")]
    Answer { what: String, status: StatusCode, body: String },
    #[error("{what}")]
    Http { what: String, source: Box<dyn std::error::Error + Send + Sync> },
}
