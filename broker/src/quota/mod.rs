//! Quotas: what each caller, and all together, may take.

pub(crate) mod rates;
pub(crate) mod shares;
