//! The protocols by which providers are called, with their differences that the market must know. Never makes a call.

use serde::{Deserialize, Serialize};

/// The protocol of a provider's endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Adapter {
    /// Merit's own agent: it checks the lease's token and reports usage.
    #[default]
    Agent,
    /// Any function server over HTTP: it knows nothing of Merit.
    Http,
}

impl Adapter {
    /// Returns true if the provider runs a revision by its module; any other runs only what is deployed by name.
    pub const fn runs_modules(self) -> bool {
        matches!(self, Adapter::Agent)
    }

    /// Returns true if the provider stops an invocation at the lease's timeout; any other may run on, which is no
    /// fault.
    pub const fn enforces_timeout(self) -> bool {
        matches!(self, Adapter::Agent)
    }

    /// Returns true if calls carry the lease's token and proof, which must not travel in the clear.
    pub const fn takes_tokens(self) -> bool {
        matches!(self, Adapter::Agent)
    }
}
