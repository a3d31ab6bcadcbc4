//! The session with the exchange: logs on, beats, quotes the ladders, hears of leases, claims those that nobody pays, and
//! comes back after a loss.
//!
//! [`machine`] decides, purely; [`shell`] owns the stream and the clock.

mod machine;
mod shell;
mod unpaid;

use merit_proto::v1::LeaseProof;
use merit_terms::{Balance, LeaseId, MarketName, Usage};
use tokio::sync::mpsc;

pub(crate) use machine::Machine;
pub(crate) use shell::{Told, run};

/// What a welcome gave: the session, and the key that verifies its leases' tokens. Leases outlive a lost stream, so
/// that these hold until the next welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) number: u32,
    pub(crate) key: [u8; 32],
}

/// What became of a call that ran here.
#[derive(Debug)]
pub(crate) enum Ran {
    /// Its function has ended; its answer is on its way.
    Finished { lease: LeaseId, usage: Usage, proof: LeaseProof },
    /// The answer could not be delivered.
    Undelivered(LeaseId),
}

/// Where the session is told of calls; what does not fit is not claimed.
pub(crate) type Runs = mpsc::Sender<Ran>;

/// Calls that may wait for the session to take note of them.
pub(crate) const RUNS_MAX: usize = 4096;

/// Why a session ended for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("the exchange refused the logon: {message}")]
    Refused { message: String },
    #[error("another session of the provider `{provider}` has logged on, and this one ended; run each provider once")]
    Superseded { provider: String },
}

/// How a provider stands with the exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The session that is on; none while there is no stream.
    pub session: Option<u32>,
    /// In how many markets the ladder is accepted in this session.
    pub markets: usize,
    pub refused: Vec<RefusedLadder>,
    /// Leases heard of since the start.
    pub granted: u64,
    /// Leases that are over, whatever they earned.
    pub settled: u64,
    /// Claims made of leases that nobody settled.
    pub claimed: u64,
    /// What settled leases earned since the start, after the operator's fee.
    pub revenue: Balance,
}

/// A ladder that the exchange does not take; it is quoted again every half minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLadder {
    pub market: MarketName,
    pub code: String,
    pub message: String,
}
