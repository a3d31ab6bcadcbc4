//! Empty.

pub mod journal;
pub mod storage;
