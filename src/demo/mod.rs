//! The demo of `merit up`: sellers of different tariffs and habits, sample functions, and demand that rises and falls.

pub(crate) mod demand;
mod samples;
mod sellers;

pub(crate) use samples::deploy_samples;
pub(crate) use sellers::Sellers;
