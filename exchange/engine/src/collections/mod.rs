pub(crate) mod bits;
pub(crate) mod ranks;
