//! `merit.v1.Keys`: created, listed, revoked, rotated; and, for brokers, the secrets that credentials are checked by.
//!
//! The secret of a key is in the answer that creates or rotates it, and in answers to brokers. It is kept nowhere.

use std::pin::Pin;

use futures_util::{StreamExt, stream};
use merit_engine::{Command, Engine, Key, Reply};
use merit_proto::v1::keys_server::Keys;
use merit_proto::{FieldError, v1};
use merit_terms::{KeyId, Time};
use tokio::sync::broadcast::error::RecvError;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::lookup::{parse, unavailable, unknown};
use crate::access::caller;
use crate::exchange::Exchange;

type Changes = Pin<Box<dyn Stream<Item = Result<v1::KeyChanged, Status>> + Send>>;

#[tonic::async_trait]
impl Keys for Exchange {
    async fn create_key(&self, request: Request<v1::CreateKeyRequest>) -> Result<Response<v1::NewKey>, Status> {
        let request = request.into_inner();
        let role = request.role().try_into().map_err(|error: FieldError| Status::from(error))?;
        let account = self.account_id(&request.account)?;
        let command = Command::CreateKey { role, account, expires: time(request.expires) };
        self.made(command).await
    }

    async fn list_keys(&self, request: Request<v1::ListKeysRequest>) -> Result<Response<v1::ListKeysResponse>, Status> {
        let caller = caller(&request)?;
        let list = |engine: &Engine| match caller.account().filter(|_| !caller.sees_all()) {
            Some(account) => engine.keys_of(account).map(|key| to_proto(engine, key)).collect(),
            None => engine.keys().map(|key| to_proto(engine, key)).collect(),
        };
        let keys = self.0.sequencer.read_durable(list).await.map_err(unavailable)?;
        Ok(Response::new(v1::ListKeysResponse { keys }))
    }

    async fn revoke_key(&self, request: Request<v1::RevokeKeyRequest>) -> Result<Response<v1::Key>, Status> {
        let id = parse("id", &request.into_inner().id)?;
        self.command(&Command::RevokeKey { key: id }).await?;
        self.known(id).map(Response::new)
    }

    async fn rotate_key(&self, request: Request<v1::RotateKeyRequest>) -> Result<Response<v1::NewKey>, Status> {
        let request = request.into_inner();
        let until = match request.keep_previous_ms {
            0 => None,
            millis => Some(self.0.sequencer.now().after_millis(millis)),
        };
        self.made(Command::RotateKey { key: parse("id", &request.id)?, previous_until: until }).await
    }

    async fn find_key(&self, request: Request<v1::FindKeyRequest>) -> Result<Response<v1::KeySecrets>, Status> {
        let text = request.into_inner().id;
        let now = self.0.sequencer.now();
        let id: Option<KeyId> = text.parse().ok();
        let look = |engine: &Engine| {
            let key = engine.key(id?).filter(|key| key.is_live(now))?;
            Some((key.clone(), to_proto(engine, key)))
        };
        let found = self.0.sequencer.read_durable(look).await.map_err(unavailable)?;
        let (key, told) = found.ok_or_else(|| unknown("key", &text))?;
        let secret = |version| self.0.key.secret(key.id, version);
        Ok(Response::new(v1::KeySecrets {
            key: Some(told),
            secret: secret(key.version),
            previous_secret: key.previous_version(now).map(secret).unwrap_or_default(),
            at: now.micros(),
        }))
    }

    type WatchKeysStream = Changes;

    async fn watch_keys(&self, request: Request<v1::WatchKeysRequest>) -> Result<Response<Changes>, Status> {
        let caller = caller(&request)?;
        let changes = self.0.projections.key_changes.follow();
        let watched = stream::unfold(Some(changes), |changes| async {
            let mut changes = changes?;
            match changes.recv().await {
                Ok(key) => Some((Ok(changed(key.to_string())), Some(changes))),
                Err(RecvError::Closed) => None,
                Err(RecvError::Lagged(missed)) => {
                    let message = format!("the reader fell behind, and {missed} changes are gone; watch again");
                    Some((Err(Status::resource_exhausted(message)), None))
                }
            }
        });
        let exchange = self.clone();
        let refused = stream::once(async move { Err(exchange.until_refused(caller).await) });
        // The refusal is the last message.
        let ends = stream::select(watched, refused).scan(false, |ended, told| {
            let goes_on = !std::mem::replace(ended, told.is_err());
            std::future::ready(goes_on.then_some(told))
        });
        Ok(Response::new(stream::once(std::future::ready(Ok(changed(String::new())))).chain(ends).boxed()))
    }
}

impl Exchange {
    /// Applies a command that creates or rotates a key. Returns the key with its secret, once it is durable.
    async fn made(&self, command: Command) -> Result<Response<v1::NewKey>, Status> {
        let (reply, sequence) = self.command(&command).await?;
        let Reply::Key(id) = reply else {
            return Err(Status::internal("the engine answered something else than a key"));
        };
        let key = self.known(id)?;
        let secret = self.0.key.secret(id, key.version);
        Ok(Response::new(v1::NewKey { key: Some(key), secret, sequence }))
    }

    fn known(&self, id: KeyId) -> Result<v1::Key, Status> {
        let look = |engine: &Engine| engine.key(id).map(|key| to_proto(engine, key));
        self.0.sequencer.read(look).ok_or_else(|| unknown("key", &id.to_string()))
    }
}

/// Reads a time; none for 0.
fn time(micros: u64) -> Option<Time> {
    (micros > 0).then(|| Time::from_micros(micros))
}

fn changed(id: String) -> v1::KeyChanged {
    v1::KeyChanged { id }
}

fn to_proto(engine: &Engine, key: &Key) -> v1::Key {
    v1::Key {
        id: key.id.to_string(),
        role: v1::Role::from(key.role).into(),
        account: engine.account(key.account).map_or_else(|_| String::new(), |account| account.name.clone()),
        version: key.version,
        created_at: key.created_at.micros(),
        expires: key.expires.map_or(0, Time::micros),
        revoked: key.revoked,
        previous_until: key.previous_until.map_or(0, Time::micros),
    }
}
