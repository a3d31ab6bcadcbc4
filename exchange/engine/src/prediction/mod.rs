//! Predictions of a call's duration and bill: learned from settlements, in integer arithmetic.
//!
//! Knows providers by number alone; knows no offers, and never ranks.

pub(crate) mod estimate;
pub(crate) mod learned;
pub(crate) mod pair;
pub(crate) mod reference;
