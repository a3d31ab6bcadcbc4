//! Quotas on what callers hold open at the gRPC port: logons, sessions, subscriptions, reads of modules. A limit for
//! each holder, an account or the address of a caller without a key, and one for all, of which callers without a key
//! have half.
//!
//! Refuses, never waits. Callers in this process have no quota.

pub(crate) use merit_listener::Holder;
use merit_listener::{Full, Share, Shares};
use tonic::Status;

/// The quotas of an exchange.
pub(crate) struct Quotas {
    pub(crate) logons: Quota,
    pub(crate) sessions: Quota,
    pub(crate) subscriptions: Quota,
    pub(crate) module_reads: Quota,
    pub(crate) health_watches: Quota,
}

/// A quota on one kind of stream.
pub(crate) struct Quota {
    /// The streams, in the plural.
    kind: &'static str,
    of_each: usize,
    shares: Shares<Holder>,
}

impl Default for Quotas {
    fn default() -> Quotas {
        Quotas {
            logons: Quota::new("sessions without a logon", 64, 512),
            sessions: Quota::new("sessions", 1_024, 4_096),
            subscriptions: Quota::new("subscriptions", 64, 512),
            module_reads: Quota::new("reads of modules", 32, 128),
            health_watches: Quota::new("watches of health", 8, 128),
        }
    }
}

impl Quota {
    fn new(kind: &'static str, of_each: usize, of_all: usize) -> Quota {
        Quota { kind, of_each, shares: Shares::half_for_peers(of_each, of_all) }
    }

    /// Takes one for a holder; none for a caller in this process.
    pub(crate) fn take(&self, holder: Option<Holder>) -> Result<Option<Share<Holder>>, Status> {
        holder.map(|holder| self.shares.take(holder, 1).map_err(|full| self.refusal(full))).transpose()
    }

    fn refusal(&self, full: Full) -> Status {
        let Quota { kind, of_each, .. } = self;
        Status::resource_exhausted(match full {
            Full::Each => {
                format!("too many {kind}: an account, or an address without a key, has at most {of_each} at once")
            }
            Full::All => format!("too many {kind} are open; try again shortly"),
        })
    }
}
