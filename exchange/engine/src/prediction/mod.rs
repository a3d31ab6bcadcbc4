//! Predictions of how long a call takes: learned from settlements, in integer arithmetic.
//!
//! Knows providers by number alone; knows no offers and no money, and never ranks.

pub(crate) mod durations;
pub(crate) mod estimate;
pub(crate) mod reference;
