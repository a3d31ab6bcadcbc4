//! The session with the exchange: logs on, sends heartbeats, quotes the ladders, hears of leases, claims those that
//! nobody pays, and comes back after a loss.
//!
//! [`machine`] decides, purely; [`shell`] owns the stream and the clock. Never runs a call.

mod ladder;
mod machine;
mod open_leases;
mod shell;
mod unpaid;

use merit_proto::v1;
use merit_proto::v1::LeaseProof;
use merit_terms::{Balance, LeaseId, MarketName, Time, Usage};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub(crate) use machine::Machine;
pub(crate) use shell::{Watches, run};

/// A session's number, and the key that verifies its leases' tokens. Leases outlive a lost stream, so these hold until
/// the next welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) number: u32,
    pub(crate) key: [u8; 32],
}

/// The credentials of the session, and the market's time, which the exchange tells with each heartbeat. This machine's
/// own clock may be wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trusted {
    pub(crate) credentials: Credentials,
    pub(crate) said: Time,
    pub(crate) heard: Instant,
}

impl Trusted {
    /// Returns the market's time.
    pub(crate) fn now(&self) -> Time {
        let passed = self.heard.elapsed().as_micros();
        self.said.after_micros(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

/// An event of a call that ran here.
#[derive(Debug)]
pub(crate) enum RunEvent {
    /// Its function has ended; its answer is on its way.
    Finished { lease: LeaseId, usage: Usage, proof: LeaseProof },
    /// The answer could not be delivered.
    Undelivered(LeaseId),
}

/// The queue of readiness reports to the exchange. One that does not fit is dropped: the exchange asks again.
pub(crate) type ModuleReports = mpsc::Sender<v1::ModuleState>;

/// Length of that queue.
pub(crate) const MODULE_REPORTS_MAX: usize = 64;

/// The queue of modules that the exchange asks to have loaded, with the session. A request that does not fit is
/// dropped: the exchange asks again.
pub(crate) type WarmRequests = mpsc::Sender<(u32, v1::WarmModule)>;

/// Length of that queue.
pub(crate) const WARM_REQUESTS_MAX: usize = 64;

/// A change of what the session sells.
#[derive(Debug)]
pub(crate) enum SaleChange {
    /// Cancels all offers, and quotes none.
    Pause,
    /// Quotes again.
    Resume,
    /// Sells by this ladder from now on, in every market.
    Reprice(Vec<v1::Rung>),
}

/// A change, and the signal that the session has made it.
pub(crate) struct RequestedChange {
    pub(crate) change: SaleChange,
    pub(crate) taken: oneshot::Sender<()>,
}

/// The queue of run events to the session; a run that does not fit is not claimed.
pub(crate) type RunEvents = mpsc::Sender<RunEvent>;

/// Length of that queue.
pub(crate) const RUN_EVENTS_MAX: usize = 4096;

/// The end of a session for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("the exchange refused the logon: {message}")]
    Refused { message: String },
    #[error("another session of the provider `{provider}` has logged on, and this one ended; run each provider once")]
    Superseded { provider: String },
}

/// A provider's standing with the exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The live session; `None` without a stream.
    pub session: Option<u32>,
    /// Number of markets that accepted the ladder in this session.
    pub markets: usize,
    pub refused: Vec<RefusedLadder>,
    /// Leases granted since the start.
    pub granted: u64,
    /// Leases that are over, at any revenue.
    pub settled: u64,
    /// Leases that are over and whose call executed.
    pub sold: u64,
    /// Leases whose claim the exchange accepted and that are not over yet.
    pub claimed: usize,
    /// Calls that ran here and are not known to be paid.
    pub unpaid: usize,
    /// Revenue of settled leases since the start, after the operator's fee.
    pub revenue: Balance,
    /// Memory of the leases that are open now, in MB.
    pub leased_mb: u64,
    /// True while it is paused.
    pub paused: bool,
}

/// A ladder that the exchange refused; it is quoted again every half minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedLadder {
    pub market: MarketName,
    pub code: String,
    pub message: String,
}
