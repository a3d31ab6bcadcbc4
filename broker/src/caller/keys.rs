//! The keys that callers present. The exchange knows them; a cache keeps them, and a watch of changes empties it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use merit_terms::{KeyId, Time};
use subtle::ConstantTimeEq;

use super::cache::KeyCache;
use super::credential::CredentialError;
use super::{Caller, Role};
use crate::exchange::clients::Exchange;
use crate::exchange::keys::{KeyChange, KeySecrets};

/// Back-off after a watch ended.
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// The keys. Clones share the cache.
#[derive(Clone)]
pub(crate) struct Keys {
    exchange: Exchange,
    cache: Arc<Mutex<KeyCache>>,
}

impl Keys {
    pub(crate) fn new(exchange: Exchange) -> Keys {
        Keys { exchange, cache: Arc::default() }
    }

    /// Watches changes of keys, without end.
    pub(crate) async fn watch(self) {
        loop {
            self.watch_once().await;
            self.lock().forget_all(false);
            tokio::time::sleep(WATCH_PAUSE).await;
        }
    }

    async fn watch_once(&self) {
        let Some(mut changes) = self.exchange.watch_keys().await else { return };
        while let Some(change) = changes.next().await {
            match change {
                KeyChange::Watched => self.lock().forget_all(true),
                KeyChange::Changed(id) => self.lock().forget(&id),
            }
        }
    }

    /// Returns the key with this id. Refuses one that is unknown, revoked or expired.
    pub(super) async fn find(&self, id: &str) -> Result<Arc<KeySecrets>, CredentialError> {
        if id.parse::<KeyId>().is_err() {
            return Err(CredentialError::UnknownKey);
        }
        let cached = self.lock().get(id);
        let missed = match cached {
            Ok(Some(key)) => return usable(key),
            Ok(None) => return Err(CredentialError::UnknownKey),
            Err(missed) => missed,
        };
        let found = self.exchange.find_key(id).await;
        let key = found.map_err(|error| CredentialError::Unchecked(Box::new(error)))?.map(Arc::new);
        self.lock().put(id, key.clone(), missed);
        key.ok_or(CredentialError::UnknownKey).and_then(usable)
    }

    /// Returns the caller with this id and secret. Compares in constant time.
    pub(super) async fn check(&self, id: &str, secret: &str) -> Result<Caller, CredentialError> {
        let key = self.find(id).await?;
        let is = |known: &str| !known.is_empty() && bool::from(known.as_bytes().ct_eq(secret.as_bytes()));
        if is(&key.secret) || is(previous_secret(&key)) { caller_of(&key) } else { Err(CredentialError::WrongSecret) }
    }

    fn lock(&self) -> MutexGuard<'_, KeyCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the secret of the version before while it may be used; empty afterwards.
pub(super) fn previous_secret(found: &KeySecrets) -> &str {
    if found.key.previous_until.is_some_and(is_ahead) { &found.previous_secret } else { "" }
}

fn is_ahead(time: Time) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u128::from(time.micros()) > now.as_micros()
}

fn usable(found: Arc<KeySecrets>) -> Result<Arc<KeySecrets>, CredentialError> {
    if found.key.expires.is_none_or(is_ahead) { Ok(found) } else { Err(CredentialError::UnknownKey) }
}

/// Returns the caller whose key this is. A broker's key is for the exchange alone.
pub(super) fn caller_of(found: &KeySecrets) -> Result<Caller, CredentialError> {
    use merit_terms::Role as KeyRole;
    let role = match found.key.role {
        Some(KeyRole::Client) => Role::Client,
        Some(KeyRole::Provider) => Role::Provider,
        Some(KeyRole::Operator) => Role::Operator,
        Some(KeyRole::Broker) | None => return Err(CredentialError::UnknownKey),
    };
    Ok(Caller { account: found.key.account.as_str().into(), role })
}
