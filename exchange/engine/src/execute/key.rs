//! Commands about keys.

use merit_terms::{AccountId, KeyId, Refusal, Role, Time};

use crate::Engine;
use crate::event::Event;
use crate::market::invalid;
use crate::reply::Reply;
use crate::turn::Turn;

impl Engine {
    pub(super) fn create_key(
        &mut self,
        turn: &mut Turn<'_>,
        role: Role,
        account: AccountId,
        expires: Option<Time>,
    ) -> Result<Reply, Refusal> {
        if self.ledger.known(account)?.is_system() {
            return Err(invalid("account", "an account of the exchange itself has no keys"));
        }
        let key = KeyId(turn.sequence);
        self.keys.create(key, role, account, expires, turn.at)?;
        turn.tell(Event::KeyChanged { key });
        Ok(Reply::Key(key))
    }

    pub(super) fn revoke_key(&mut self, turn: &mut Turn<'_>, key: KeyId) -> Result<Reply, Refusal> {
        self.keys.revoke(key)?;
        turn.tell(Event::KeyChanged { key });
        Ok(Reply::Done)
    }

    pub(super) fn rotate_key(
        &mut self,
        turn: &mut Turn<'_>,
        key: KeyId,
        previous_until: Option<Time>,
    ) -> Result<Reply, Refusal> {
        self.keys.rotate(key, previous_until, turn.at)?;
        turn.tell(Event::KeyChanged { key });
        Ok(Reply::Key(key))
    }
}
