//! The exchange as the broker calls it.

pub(crate) mod clients;
pub(crate) mod leases;
