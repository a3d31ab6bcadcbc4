//! Collections that know nothing of the market.

pub(crate) mod bits;
pub(crate) mod ranks;
