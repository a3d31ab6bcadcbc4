//! Which rules of the market this binary knows.
//!
//! A rule change is a journaled command, so every directory says by which rules it goes on. A directory of other rules is
//! refused.

pub(crate) use merit_engine::RULES;

/// A directory goes on by rules that this binary does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it goes on by rules {found} of the market, and this merit knows rules {RULES} alone; \
     start the merit release that wrote it{}",
    if *found < RULES { ", then each release up to this one" } else { "" }
)]
pub struct UnknownRules {
    pub found: u32,
}

/// Refuses rules that are not the present ones.
pub(crate) fn check(found: u32) -> Result<(), UnknownRules> {
    match found == RULES {
        true => Ok(()),
        false => Err(UnknownRules { found }),
    }
}
