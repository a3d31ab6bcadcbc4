//! Canaries: aliases that send a share of their calls to a second revision.
//!
//! The number of a call alone decides, so that a replay decides alike. All attempts of one invocation have the number
//! of its first one, and so one revision.

use merit_terms::Refusal;

use super::functions::Function;
use super::invalid;
use crate::command::{Canary, LIVE, Qualifier, WEIGHT_MAX};

impl Canary {
    pub(super) fn check(&self, beside: u32) -> Result<(), Refusal> {
        if self.weight > WEIGHT_MAX {
            return Err(invalid("weights", format!("{} thousandths; at most {WEIGHT_MAX}", self.weight)));
        }
        if self.revision == beside {
            return Err(invalid("weights", format!("revision {beside} is the alias's own; a weight is for another")));
        }
        Ok(())
    }

    fn takes(&self, call: u64) -> bool {
        thousandth(call) < self.weight
    }
}

/// Spreads calls over a thousand equal parts: the finaliser of splitmix64 (Steele, Lea and Flood 2014), which sets
/// neighbours far apart, scaled down.
fn thousandth(call: u64) -> u32 {
    let mut mixed = call.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((u128::from(mixed) * u128::from(WEIGHT_MAX)) >> 64) as u32
}

impl Function {
    /// Returns the revision that the call of this number means by `qualifier`.
    pub(crate) fn revision_of(&self, qualifier: &Qualifier, call: u64) -> Result<u32, Refusal> {
        match self.canary(qualifier).filter(|canary| canary.takes(call)) {
            Some(canary) => Ok(canary.revision),
            None => self.resolve(qualifier),
        }
    }

    fn canary(&self, qualifier: &Qualifier) -> Option<&Canary> {
        match qualifier {
            _ if self.canaries.is_empty() => None,
            Qualifier::Revision(_) => None,
            Qualifier::Live => self.canaries.iter().find(|(alias, _)| alias.as_str() == LIVE).map(|(_, canary)| canary),
            Qualifier::Alias(alias) => self.canaries.get(alias),
        }
    }
}
