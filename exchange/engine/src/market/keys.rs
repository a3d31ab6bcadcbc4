//! Keys: role, account, version and end of each.
//!
//! Never knows a secret, and checks no caller: that is done by whoever serves calls, at their own time.

use std::collections::{BTreeMap, BTreeSet};

use merit_terms::{AccountId, KeyId, Refusal, Role, Time};
use serde::{Deserialize, Serialize};

use super::{invalid, within_limit};

/// Maximum live keys of an account.
const LIVE_MAX: u32 = 1_000;
/// Maximum dead keys of an account that are remembered.
const DEAD_MAX: usize = 1_000;
/// Maximum time that the version before a rotation stays valid: 31 days, in milliseconds.
const KEEP_MAX_MS: u64 = 31 * 86_400_000;

/// A key as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub id: KeyId,
    pub role: Role,
    pub account: AccountId,
    /// Counts from 1; each rotation makes the next, with a secret of its own.
    pub version: u32,
    pub created_at: Time,
    /// Time from which on it is refused.
    pub expires: Option<Time>,
    pub revoked: bool,
    /// Time until which the version before may be used.
    pub previous_until: Option<Time>,
}

impl Key {
    /// Returns whether it may be used at `at`.
    pub fn is_live(&self, at: Time) -> bool {
        !self.revoked && self.expires.is_none_or(|expires| at < expires)
    }

    /// Returns the version before, while it may be used.
    pub fn previous_version(&self, at: Time) -> Option<u32> {
        let kept = self.is_live(at) && self.previous_until.is_some_and(|until| at < until);
        kept.then(|| self.version - 1)
    }
}

/// The keys of all accounts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Keys {
    known: BTreeMap<KeyId, Key>,
    #[serde(skip)]
    by_account: BTreeSet<(AccountId, KeyId)>,
}

impl Keys {
    /// Builds anew what is computed from the keys.
    pub(crate) fn rebuild(&mut self) {
        self.by_account = self.known.values().map(|key| (key.account, key.id)).collect();
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<&Key> {
        self.known.get(&id)
    }

    /// Lists all known keys, in order of creation.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Key> {
        self.known.values()
    }

    /// Lists the known keys of an account, in order of creation.
    pub(crate) fn of_account(&self, account: AccountId) -> impl Iterator<Item = &Key> {
        let range = (account, KeyId(0))..=(account, KeyId(u64::MAX));
        self.by_account.range(range).filter_map(|(_, id)| self.known.get(id))
    }

    /// Creates a key, and forgets the oldest dead ones of its account that are too many.
    pub(crate) fn create(
        &mut self,
        id: KeyId,
        role: Role,
        account: AccountId,
        expires: Option<Time>,
        at: Time,
    ) -> Result<(), Refusal> {
        if expires.is_some_and(|expires| expires <= at) {
            return Err(invalid("expires", "is not in the future"));
        }
        let live = self.of_account(account).filter(|key| key.is_live(at)).count();
        within_limit("live keys of an account", live as u32, LIVE_MAX)?;
        self.forget_dead(account, at);
        let (version, revoked, previous_until) = (1, false, None);
        self.by_account.insert((account, id));
        self.known.insert(id, Key { id, role, account, version, created_at: at, expires, revoked, previous_until });
        Ok(())
    }

    pub(crate) fn revoke(&mut self, id: KeyId) -> Result<(), Refusal> {
        let key = self.known.get_mut(&id).ok_or_else(|| unknown_key(id))?;
        key.revoked = true;
        key.previous_until = None;
        Ok(())
    }

    pub(crate) fn rotate(&mut self, id: KeyId, previous_until: Option<Time>, at: Time) -> Result<(), Refusal> {
        let key = self.known.get_mut(&id).ok_or_else(|| unknown_key(id))?;
        if !key.is_live(at) {
            return Err(invalid("key", "is revoked or has expired; create another"));
        }
        if previous_until.is_some_and(|until| until <= at || until > at.after_millis(KEEP_MAX_MS)) {
            return Err(invalid("previous_until", "is not within the next 31 days"));
        }
        let most = Refusal::OverLimit { limit: "versions of a key", most: u32::MAX.into() };
        key.version = key.version.checked_add(1).ok_or(most)?;
        key.previous_until = previous_until;
        Ok(())
    }

    /// Forgets the oldest dead keys of an account beyond [`DEAD_MAX`]: unknown and dead keys are refused alike.
    fn forget_dead(&mut self, account: AccountId, at: Time) {
        let dead: Vec<KeyId> = self.of_account(account).filter(|key| !key.is_live(at)).map(|key| key.id).collect();
        for id in &dead[..dead.len().saturating_sub(DEAD_MAX)] {
            self.by_account.remove(&(account, *id));
            self.known.remove(id);
        }
    }
}

fn unknown_key(id: KeyId) -> Refusal {
    Refusal::Unknown { what: "key", name: id.to_string() }
}
