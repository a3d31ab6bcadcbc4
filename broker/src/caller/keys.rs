//! The keys that callers present, as the exchange knows them: asked for once, kept for a while, forgotten when they change.
//!
//! Owns the cache; the exchange decides. A watch tells of changes; while there is none, nothing is kept long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use merit_proto::v1::keys_client::KeysClient;
use merit_proto::{Transport, v1};
use merit_terms::KeyId;
use subtle::ConstantTimeEq;

use super::{Caller, CredentialError, Role};
use crate::exchange::clients::answer;

/// How long a key is kept while changes are heard of, and one that is not known.
const KEPT: Duration = Duration::from_secs(60);
/// The same while no watch is on, and of an id that is not known.
const KEPT_UNWATCHED: Duration = Duration::from_secs(2);
/// Keys kept; at one more all are forgotten, and asked for at need.
const KEYS_MAX: usize = 10_000;
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// The keys. Clones share them.
#[derive(Clone)]
pub(crate) struct Keys {
    exchange: KeysClient<Transport>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<String, Kept>,
    is_watched: bool,
    /// Grows when keys change, so that an answer on its way then is not kept.
    changes: u64,
}

#[derive(Clone)]
struct Kept {
    until: Instant,
    /// None: there is no such key that may be used.
    key: Option<Arc<v1::KeySecrets>>,
}

impl Keys {
    pub(crate) fn new(transport: Transport) -> Keys {
        Keys { exchange: KeysClient::new(transport), known: Arc::default() }
    }

    /// Hears of changes, for ever.
    pub(crate) async fn watch(self) {
        loop {
            if let Err(status) = self.watch_once().await {
                tracing::debug!(code = ?status.code(), "the watch of keys ended");
            }
            self.lock().forget_all(false);
            tokio::time::sleep(WATCH_PAUSE).await;
        }
    }

    async fn watch_once(&self) -> Result<(), tonic::Status> {
        let mut changes = self.exchange.clone().watch_keys(v1::WatchKeysRequest {}).await?.into_inner();
        while let Some(changed) = changes.message().await? {
            let mut known = self.lock();
            match changed.id.as_str() {
                "" => known.forget_all(true),
                id => known.forget(id),
            }
        }
        Ok(())
    }

    /// The key with this id.
    pub(crate) async fn find(&self, id: &str) -> Result<Arc<v1::KeySecrets>, CredentialError> {
        if id.parse::<KeyId>().is_err() {
            return Err(CredentialError::UnknownKey);
        }
        let changes = match self.kept(id) {
            Ok(Some(key)) => return usable(key),
            Ok(None) => return Err(CredentialError::UnknownKey),
            Err(changes) => changes,
        };
        let found = answer(self.exchange.clone().find_key(v1::FindKeyRequest { id: id.to_owned() })).await;
        let key = match found {
            Ok(found) => Some(Arc::new(found)),
            Err(error) if error.status == http::StatusCode::NOT_FOUND => None,
            Err(error) => return Err(CredentialError::Unchecked(Box::new(error))),
        };
        self.lock().keep(id, key.clone(), changes);
        key.ok_or(CredentialError::UnknownKey).and_then(usable)
    }

    /// Who presents this id and secret. Compares in constant time.
    pub(crate) async fn check(&self, id: &str, secret: &str) -> Result<Caller, CredentialError> {
        let key = self.find(id).await?;
        let is = |known: &str| !known.is_empty() && bool::from(known.as_bytes().ct_eq(secret.as_bytes()));
        if is(&key.secret) || is(previous_secret(&key)) { caller(&key) } else { Err(CredentialError::WrongSecret) }
    }

    fn kept(&self, id: &str) -> Result<Option<Arc<v1::KeySecrets>>, u64> {
        let known = self.lock();
        match known.by_id.get(id) {
            Some(kept) if kept.until > Instant::now() => Ok(kept.key.clone()),
            _ => Err(known.changes),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, id: &str, key: Option<Arc<v1::KeySecrets>>, asked_at: u64) {
        if self.changes != asked_at {
            return;
        }
        if self.by_id.len() >= KEYS_MAX {
            // Ids that nobody has do not push out those that somebody does.
            if key.is_none() {
                return;
            }
            self.by_id.clear();
        }
        let kept = if self.is_watched && key.is_some() { KEPT } else { KEPT_UNWATCHED };
        self.by_id.insert(id.to_owned(), Kept { until: Instant::now() + kept, key });
    }

    fn forget(&mut self, id: &str) {
        self.changes += 1;
        self.by_id.remove(id);
    }

    fn forget_all(&mut self, is_watched: bool) {
        self.changes += 1;
        self.by_id.clear();
        self.is_watched = is_watched;
    }
}

/// The secret of the version before, while it may be used; else empty.
pub(crate) fn previous_secret(key: &v1::KeySecrets) -> &str {
    let until = key.key.as_ref().map_or(0, |key| key.previous_until);
    if u128::from(until) > now_us() { &key.previous_secret } else { "" }
}

fn now_us() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros()
}

fn usable(key: Arc<v1::KeySecrets>) -> Result<Arc<v1::KeySecrets>, CredentialError> {
    let expires = key.key.as_ref().map_or(0, |key| key.expires);
    if expires > 0 && u128::from(expires) <= now_us() { Err(CredentialError::UnknownKey) } else { Ok(key) }
}

/// Who a key is of.
pub(crate) fn caller(found: &v1::KeySecrets) -> Result<Caller, CredentialError> {
    let key = found.key.as_ref().ok_or(CredentialError::UnknownKey)?;
    let role = match key.role() {
        v1::Role::Client => Role::Client,
        v1::Role::Provider => Role::Provider,
        v1::Role::Operator => Role::Operator,
        // A broker's key is for the exchange alone.
        v1::Role::Broker | v1::Role::Unspecified => return Err(CredentialError::UnknownKey),
    };
    Ok(Caller { account: key.account.as_str().into(), role })
}
