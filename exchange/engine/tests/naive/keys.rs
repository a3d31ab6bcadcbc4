//! Keys, in a plain list.

use merit_engine::{Event, Key, Reply};
use merit_terms::{AccountId, KeyId, Refusal, Role, Time};

use super::{Twin, invalid, unknown};

const DAYS_31_US: u64 = 31 * 24 * 3_600 * 1_000_000;

fn is_dead(key: &Key, at: Time) -> bool {
    key.revoked || key.expires.is_some_and(|expires| expires <= at)
}

impl Twin {
    pub(super) fn create_key(
        &mut self,
        at: Time,
        sequence: u64,
        role: Role,
        account: AccountId,
        expires: Option<Time>,
    ) -> Result<Reply, Refusal> {
        if self.account(account)?.name.starts_with("merit-") {
            return Err(invalid("account"));
        }
        if expires.is_some_and(|expires| expires <= at) {
            return Err(invalid("expires"));
        }
        let is_its = |key: &&Key| key.account == account;
        if self.keys.iter().filter(is_its).filter(|key| !is_dead(key, at)).count() >= 1_000 {
            return Err(Refusal::OverLimit { limit: "live keys of an account", most: 1_000 });
        }
        let mut dead = self.keys.iter().filter(is_its).filter(|key| is_dead(key, at)).count();
        self.keys.retain(|key| {
            let forgotten = key.account == account && is_dead(key, at) && dead > 1_000;
            dead -= usize::from(forgotten);
            !forgotten
        });
        let id = KeyId(sequence);
        let (version, revoked, previous_until) = (1, false, None);
        self.keys.push(Key { id, role, account, version, created_at: at, expires, revoked, previous_until });
        self.events.push(Event::KeyChanged { key: id });
        Ok(Reply::Key(id))
    }

    fn key_mut(&mut self, id: KeyId) -> Result<&mut Key, Refusal> {
        self.keys.iter_mut().find(|key| key.id == id).ok_or_else(|| unknown("key", id))
    }

    pub(super) fn revoke_key(&mut self, id: KeyId) -> Result<(), Refusal> {
        let key = self.key_mut(id)?;
        (key.revoked, key.previous_until) = (true, None);
        self.events.push(Event::KeyChanged { key: id });
        Ok(())
    }

    pub(super) fn rotate_key(&mut self, at: Time, id: KeyId, until: Option<Time>) -> Result<Reply, Refusal> {
        let key = self.key_mut(id)?;
        if is_dead(key, at) {
            return Err(invalid("key"));
        }
        if until.is_some_and(|until| until <= at || until.micros() > at.micros() + DAYS_31_US) {
            return Err(invalid("previous_until"));
        }
        key.version += 1;
        key.previous_until = until;
        self.events.push(Event::KeyChanged { key: id });
        Ok(Reply::Key(id))
    }
}
