//! Aliases that send a share of their calls to a second revision.
//!
//! Which call goes where follows from its number alone, so that a replay decides alike, and so do all attempts of one
//! invocation: they have the number of its first one.

use merit_terms::{Name, Refusal};
use serde::{Deserialize, Serialize};

use super::{Function, LIVE, invalid};
use crate::command::Qualifier;

/// A whole share, in thousandths.
pub const WEIGHT_MAX: u32 = 1_000;

/// The second revision of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    pub revision: u32,
    /// Of a thousand calls, how many are its.
    pub weight: u32,
}

impl Canary {
    pub(crate) fn check(&self, beside: u32) -> Result<(), Refusal> {
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

/// In which of a thousand equal parts a call falls: the finaliser of splitmix64 (Steele, Lea and Flood 2014), which sets
/// neighbours far apart, scaled down.
fn thousandth(call: u64) -> u32 {
    let mut mixed = call.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((u128::from(mixed) * u128::from(WEIGHT_MAX)) >> 64) as u32
}

impl Function {
    /// The revision that the call of this number means by `qualifier`.
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

    pub(super) fn put_canary(&mut self, alias: &Name, canary: Option<Canary>) {
        match canary {
            Some(canary) => drop(self.canaries.insert(alias.clone(), canary)),
            None => drop(self.canaries.remove(alias)),
        }
    }
}
