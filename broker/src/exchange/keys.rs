//! Keys at the exchange: made, listed, revoked and rotated; found and watched for the check of credentials.

use std::time::Instant;

use futures_util::future::ready;
use futures_util::{Stream, StreamExt};
use merit_proto::v1;
use merit_terms::{KeyId, RefusalCode, Role, Time};

use super::clients::{Exchange, answer};
use crate::error::ApiError;

/// A key without its secret.
#[derive(Debug, Default)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) role: Option<Role>,
    pub(crate) account: String,
    pub(crate) version: u32,
    pub(crate) created_at: Time,
    /// None: never.
    pub(crate) expires: Option<Time>,
    pub(crate) revoked: bool,
    /// End of the grace of the version before.
    pub(crate) previous_until: Option<Time>,
}

/// A key that was made or rotated, with its secret.
#[derive(Debug)]
pub(crate) struct NewKey {
    pub(crate) key: Key,
    pub(crate) secret: String,
    pub(crate) sequence: u64,
}

/// A key with the secrets that it may show.
#[derive(Debug)]
pub(crate) struct KeySecrets {
    pub(crate) key: Key,
    pub(crate) secret: String,
    /// Secret of the version before; empty for none.
    pub(crate) previous_secret: String,
    /// The market's time, by which keys expire, and the time at which it was told.
    pub(crate) at: Time,
    pub(crate) heard: Instant,
}

impl KeySecrets {
    /// Returns true if a time is still to come.
    pub(crate) fn is_ahead(&self, time: Time) -> bool {
        let passed = u64::try_from(self.heard.elapsed().as_micros()).unwrap_or(u64::MAX);
        time > self.at.after_micros(passed)
    }
}

/// A message of the watch of keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyChange {
    /// The watch is on. Changes before it were not seen.
    Watched,
    Changed(String),
}

impl Exchange {
    pub(crate) async fn create_key(
        &self,
        role: Role,
        account: &str,
        expires: Option<Time>,
    ) -> Result<NewKey, ApiError> {
        let request = v1::CreateKeyRequest {
            role: v1::Role::from(role).into(),
            account: account.to_owned(),
            expires: expires.map_or(0, Time::micros),
        };
        answer(self.keys.clone().create_key(request)).await.map(Into::into)
    }

    pub(crate) async fn keys(&self) -> Result<Vec<Key>, ApiError> {
        let listed = answer(self.keys.clone().list_keys(v1::ListKeysRequest {})).await?;
        Ok(listed.keys.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn revoke_key(&self, id: KeyId) -> Result<Key, ApiError> {
        answer(self.keys.clone().revoke_key(v1::RevokeKeyRequest { id: id.to_string() })).await.map(Into::into)
    }

    pub(crate) async fn rotate_key(&self, id: KeyId, keep_previous_ms: u64) -> Result<NewKey, ApiError> {
        let request = v1::RotateKeyRequest { id: id.to_string(), keep_previous_ms };
        answer(self.keys.clone().rotate_key(request)).await.map(Into::into)
    }

    /// Returns a key that may be used; none if there is no such key.
    pub(crate) async fn find_key(&self, id: &str) -> Result<Option<KeySecrets>, ApiError> {
        match answer(self.keys.clone().find_key(v1::FindKeyRequest { id: id.to_owned() })).await {
            Ok(found) => Ok(Some(found.into())),
            Err(error) if error.code == RefusalCode::NotFound.into() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the watch of keys. The stream ends where it breaks; the log says why it did, or was not opened.
    pub(crate) async fn watch_keys(&self) -> Option<impl Stream<Item = KeyChange> + use<>> {
        let ended = |status: tonic::Status| tracing::debug!(reason = status.message(), "the watch of keys ended");
        let opened = self.keys.clone().watch_keys(v1::WatchKeysRequest {}).await;
        let changes = opened.map_err(ended).ok()?.into_inner();
        Some(changes.filter_map(move |changed| {
            ready(changed.map_err(ended).ok().map(|changed| match changed.id {
                id if id.is_empty() => KeyChange::Watched,
                id => KeyChange::Changed(id),
            }))
        }))
    }
}

impl From<v1::Key> for Key {
    fn from(key: v1::Key) -> Key {
        let time = |micros: u64| (micros > 0).then(|| Time::from_micros(micros));
        Key {
            role: Role::try_from(key.role()).ok(),
            id: key.id,
            account: key.account,
            version: key.version,
            created_at: Time::from_micros(key.created_at),
            expires: time(key.expires),
            revoked: key.revoked,
            previous_until: time(key.previous_until),
        }
    }
}

impl From<v1::NewKey> for NewKey {
    fn from(made: v1::NewKey) -> NewKey {
        NewKey { key: made.key.unwrap_or_default().into(), secret: made.secret, sequence: made.sequence }
    }
}

impl From<v1::KeySecrets> for KeySecrets {
    fn from(found: v1::KeySecrets) -> KeySecrets {
        let key = found.key.unwrap_or_default().into();
        let (at, heard) = (Time::from_micros(found.at), Instant::now());
        KeySecrets { key, secret: found.secret, previous_secret: found.previous_secret, at, heard }
    }
}
