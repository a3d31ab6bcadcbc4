//! Keys: who may call, in which role, for which account.
//!
//! Owns what is known of a key: its role, account, version and end. Never knows a secret, and checks no caller: that is done
//! by whoever serves calls, at their own time.

use std::collections::{BTreeMap, BTreeSet};

use merit_terms::{AccountId, KeyId, Refusal, Role, Time};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::command::Reply;
use crate::event::Event;
use crate::market::{invalid, within_limit};

/// The most keys of an account that can be used.
const LIVE_MAX: u32 = 1_000;
/// Of an account's keys that cannot be used any more, so many are remembered.
const DEAD_MAX: usize = 1_000;
/// How long the version before a rotation may be used yet: 31 days.
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
    /// From then on it is refused.
    pub expires: Option<Time>,
    pub revoked: bool,
    /// Until when the version before may be used.
    pub previous_until: Option<Time>,
}

impl Key {
    /// Whether it may be used at `at`.
    pub fn is_live(&self, at: Time) -> bool {
        !self.revoked && self.expires.is_none_or(|expires| at < expires)
    }

    /// The version before, while it may be used.
    pub fn previous_version(&self, at: Time) -> Option<u32> {
        let kept = self.is_live(at) && self.previous_until.is_some_and(|until| at < until);
        kept.then(|| self.version - 1)
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Keys {
    pub(crate) known: BTreeMap<KeyId, Key>,
    #[serde(skip)]
    by_account: BTreeSet<(AccountId, KeyId)>,
}

impl Keys {
    /// Builds what can be computed from the rest.
    pub(crate) fn rebuild(&mut self) {
        self.by_account = self.known.values().map(|key| (key.account, key.id)).collect();
    }

    fn of_account(&self, account: AccountId) -> impl Iterator<Item = &Key> {
        let range = (account, KeyId(0))..=(account, KeyId(u64::MAX));
        self.by_account.range(range).filter_map(|(_, id)| self.known.get(id))
    }

    fn insert(&mut self, key: Key) {
        self.by_account.insert((key.account, key.id));
        self.known.insert(key.id, key);
    }

    /// Forgets the oldest of an account's dead keys that are too many: unknown and dead are refused alike.
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

impl Engine {
    pub(crate) fn create_key(
        &mut self,
        at: Time,
        sequence: u64,
        role: Role,
        account: AccountId,
        expires: Option<Time>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let owner = self.ledger.get(account)?;
        if owner.is_system() {
            return Err(invalid("account", "an account of the exchange itself has no keys"));
        }
        if expires.is_some_and(|expires| expires <= at) {
            return Err(invalid("expires", "is not in the future"));
        }
        let live = self.keys.of_account(account).filter(|key| key.is_live(at)).count();
        within_limit("live keys of an account", live as u32, LIVE_MAX)?;
        self.keys.forget_dead(account, at);
        let id = KeyId(sequence);
        let (version, revoked, previous_until) = (1, false, None);
        self.keys.insert(Key { id, role, account, version, created_at: at, expires, revoked, previous_until });
        events.push(Event::KeyChanged { key: id });
        Ok(Reply::Key(id))
    }

    pub(crate) fn revoke_key(&mut self, id: KeyId, events: &mut Vec<Event>) -> Result<Reply, Refusal> {
        let key = self.keys.known.get_mut(&id).ok_or_else(|| unknown_key(id))?;
        key.revoked = true;
        key.previous_until = None;
        events.push(Event::KeyChanged { key: id });
        Ok(Reply::Done)
    }

    pub(crate) fn rotate_key(
        &mut self,
        at: Time,
        id: KeyId,
        previous_until: Option<Time>,
        events: &mut Vec<Event>,
    ) -> Result<Reply, Refusal> {
        let key = self.keys.known.get_mut(&id).ok_or_else(|| unknown_key(id))?;
        if !key.is_live(at) {
            return Err(invalid("key", "is revoked or has expired; create another"));
        }
        if previous_until.is_some_and(|until| until <= at || until > at.after_millis(KEEP_MAX_MS)) {
            return Err(invalid("previous_until", "is not within the next 31 days"));
        }
        let most = Refusal::OverLimit { limit: "versions of a key", most: u32::MAX.into() };
        key.version = key.version.checked_add(1).ok_or(most)?;
        key.previous_until = previous_until;
        events.push(Event::KeyChanged { key: id });
        Ok(Reply::Key(id))
    }

    /// What is known of a key; revoked and expired ones are known for a while.
    pub fn key(&self, id: KeyId) -> Option<&Key> {
        self.keys.known.get(&id)
    }

    /// All that are known, in order of creation.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.known.values()
    }

    /// Those of an account, in order of creation.
    pub fn keys_of(&self, account: AccountId) -> impl Iterator<Item = &Key> {
        self.keys.of_account(account)
    }
}
