//! Access: the identity of a caller, the roles that each method admits, and the layer that checks both.
//!
//! ```text
//! guard      before every call: credential -> identity -> admitted or refused
//! methods    one table: each method and its roles
//! identity   credentials checked against the keys that the engine knows
//! ```

mod guard;
mod identity;
mod methods;

pub(crate) use guard::Entrance;
pub(crate) use identity::{Identity, caller};
