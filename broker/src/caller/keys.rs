//! The keys that callers present. The exchange knows them; a cache keeps them, and a watch of changes empties it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use merit_terms::KeyId;
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

    /// Returns the key with this id; none if it is unknown, revoked or expired.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Arc<KeySecrets>>, CredentialError> {
        if id.parse::<KeyId>().is_err() {
            return Ok(None);
        }
        let cached = self.lock().get(id);
        let key = match cached {
            Ok(key) => key,
            Err(missed) => {
                let found = self.exchange.find_key(id).await;
                let key = found.map_err(|error| CredentialError::Unchecked(Box::new(error)))?.map(Arc::new);
                self.lock().put(id, key.clone(), missed);
                key
            }
        };
        Ok(key.filter(|found| found.key.expires.is_none_or(|expires| found.is_ahead(expires))))
    }

    /// Returns the caller with this id and secret. Compares in constant time, for an unknown key as for a known one.
    pub(super) async fn check(&self, id: &str, secret: &str) -> Result<Caller, CredentialError> {
        let key = self.find(id).await?;
        let is = |known: &&str| bool::from(known.as_bytes().ct_eq(secret.as_bytes()));
        match (secrets(key.as_deref()).iter().any(is), key) {
            (true, Some(key)) => caller_of(&key),
            _ => Err(CredentialError::NotAccepted),
        }
    }

    fn lock(&self) -> MutexGuard<'_, KeyCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A text as long as a secret, against which the secret of an unknown key is checked. It is accepted for none.
const NO_SECRET: &str = "-------------------------------------------";

/// Returns the secrets that a key accepts: its own, and that of the version before while it may be used.
pub(super) fn secrets(found: Option<&KeySecrets>) -> Vec<&str> {
    let Some(found) = found else { return vec![NO_SECRET] };
    let may_use_previous = found.key.previous_until.is_some_and(|until| found.is_ahead(until));
    let previous = Some(found.previous_secret.as_str()).filter(|_| may_use_previous);
    [Some(found.secret.as_str()), previous].into_iter().flatten().filter(|secret| !secret.is_empty()).collect()
}

/// Returns the caller whose key this is. A broker's key is for the exchange alone.
pub(super) fn caller_of(found: &KeySecrets) -> Result<Caller, CredentialError> {
    use merit_terms::Role as KeyRole;
    let role = match found.key.role {
        Some(KeyRole::Client) => Role::Client,
        Some(KeyRole::Provider) => Role::Provider,
        Some(KeyRole::Operator) => Role::Operator,
        Some(KeyRole::Broker) | None => return Err(CredentialError::NotAccepted),
    };
    Ok(Caller { account: found.key.account.as_str().into(), role })
}
