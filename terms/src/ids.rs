//! Ids: small integers that the engine gives out in order, and the id of a lease. Never looks up the entity.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u32);
        impl $name {
            pub const fn new(number: u32) -> $name { $name(number) }
            pub const fn number(self) -> u32 { self.0 }
            pub const fn index(self) -> usize { self.0 as usize }
        }
    )*};
}
id!(
    /// An account, in order of opening.
    AccountId,
    /// A function, in order of its first definition.
    FunctionId,
    /// A market, in order of creation.
    MarketId,
    /// A provider, in order of registration.
    ProviderId
);

/// An offer: one rung of a provider's ladder as it was posted. Text `o-12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OfferId(pub u64);

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "o-{}", self.0)
    }
}

/// A lease, and the invocation that it began: the run of the exchange that granted it and the sequence
/// of its match. Text `1-4711`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseId {
    pub run: u32,
    pub sequence: u64,
}

/// Text that is not the id of a lease or an invocation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an invocation id: run and sequence, such as 1-4711")]
pub struct LeaseIdError(String);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.sequence)
    }
}

impl FromStr for LeaseId {
    type Err = LeaseIdError;
    fn from_str(text: &str) -> Result<LeaseId, LeaseIdError> {
        text.split_once('-')
            .and_then(|(run, sequence)| Some(LeaseId { run: run.parse().ok()?, sequence: sequence.parse().ok()? }))
            .ok_or_else(|| LeaseIdError(text.to_owned()))
    }
}
