//! Tests of the protocol by its public API, and of the committed code of `merit.v1`.

mod generated;
mod proof;
mod token;
