//! Leases: a match is granted, runs, and ends settled, released, claimed, expired or forgotten.
//!
//! Owns the open leases and their holds. Never ranks offers; a closed lease is gone from here, its record is a
//! projection.

mod claim;
mod close;
mod deadline;
mod forgotten;
mod grant;
mod holds;
pub(crate) mod open;
mod payment;
mod settle;
