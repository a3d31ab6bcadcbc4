//! The rules of the market that this binary knows.
//!
//! A change of rules is a journaled command, so every directory says by which rules it goes on. A binary knows the
//! present rules alone; any other directory is refused.

use merit_engine::RULES;

/// A directory goes on by rules that this binary does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it goes on by rules {found} of the market, and this merit knows {RULES} alone; start the merit release that wrote \
     it"
)]
pub struct UnknownRules {
    pub found: u32,
}

/// Refuses all but the present rules.
pub(crate) fn check(found: u32) -> Result<(), UnknownRules> {
    if found == RULES { Ok(()) } else { Err(UnknownRules { found }) }
}
