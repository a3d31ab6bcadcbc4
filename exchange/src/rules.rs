//! Which rules of the market this binary knows.
//!
//! A rule change is a journaled command, so every directory says by which rules it goes on. A binary knows the present
//! rules and those before them, and takes a directory from the former to the latter; any other is refused.

pub(crate) use merit_engine::RULES;

/// A directory goes on by rules that this binary does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it goes on by rules {found} of the market, and this merit knows {} and {RULES}; \
     start the merit release that wrote it{}",
    RULES - 1,
    if *found < RULES { ", then each release up to this one" } else { "" }
)]
pub struct UnknownRules {
    pub found: u32,
}

/// Refuses rules that are neither the present ones nor those before them.
pub(crate) fn check(found: u32) -> Result<(), UnknownRules> {
    match found == RULES || found + 1 == RULES {
        true => Ok(()),
        false => Err(UnknownRules { found }),
    }
}
