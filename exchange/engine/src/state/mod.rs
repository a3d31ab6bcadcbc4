mod digest;
mod saved;
pub(crate) mod views;
