//! Keys, for the operator: made, listed, revoked and rotated. A secret is told once.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use merit_terms::{KeyId, Name, Role, Time};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::JsonAnswer;
use crate::broker::Broker;
use crate::caller::{Caller, Operator};
use crate::doors::request::{Path, Sent};
use crate::error::ApiError;
use crate::exchange::keys::{Key, NewKey};
use crate::json::{read, read_or_default};

/// Longest grace of a rotated key; for a longer one make another key.
const KEEP_PREVIOUS_MAX: Duration = Duration::from_secs(31 * 86_400);

#[derive(Deserialize)]
struct CreateBody {
    role: String,
    account: Name,
    expires: Option<Time>,
}

/// Handles `POST /v1/keys`.
pub(crate) async fn create(State(broker): State<Arc<Broker>>, _: Operator, Sent(body): Sent) -> JsonAnswer {
    let asked: CreateBody = read(&body, &["role", "account", "expires"])?;
    let role: Role = asked.role.parse().map_err(|error| ApiError::malformed(format!("role: {error}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires = asked.expires.filter(|expires| expires.micros() > 0);
    if expires.is_some_and(|expires| Duration::from_micros(expires.micros()) <= now) {
        return Err(ApiError::malformed("expires: has passed; leave it out for a key that never expires"));
    }
    Ok(Json(made(&broker.exchange.create_key(role, asked.account.as_str(), expires).await?)))
}

/// Handles `GET /v1/keys`: all keys for the operator, those of their account for others.
pub(crate) async fn list(State(broker): State<Arc<Broker>>, caller: Caller) -> JsonAnswer {
    let keys = broker.exchange.keys().await?;
    let keys = keys.iter().filter(|key| caller.may_see(&key.account)).map(described);
    Ok(Json(json!({"keys": keys.collect::<Vec<_>>()})))
}

/// Handles `DELETE /v1/keys/{id}`.
pub(crate) async fn revoke(State(broker): State<Arc<Broker>>, _: Operator, Path(id): Path<String>) -> JsonAnswer {
    Ok(Json(described(&broker.exchange.revoke_key(key_id(&id)?).await?)))
}

#[derive(Default, Deserialize)]
struct RotateBody {
    keep_previous_ms: Option<u64>,
}

/// Handles `POST /v1/keys/{id}/rotate`.
pub(crate) async fn rotate(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let RotateBody { keep_previous_ms } = read_or_default(&body, &["keep_previous_ms"])?;
    let keep_previous_ms = keep_previous_ms.unwrap_or(0);
    if Duration::from_millis(keep_previous_ms) > KEEP_PREVIOUS_MAX {
        return Err(ApiError::malformed("keep_previous_ms: at most 31 days"));
    }
    Ok(Json(made(&broker.exchange.rotate_key(key_id(&id)?, keep_previous_ms).await?)))
}

fn key_id(text: &str) -> Result<KeyId, ApiError> {
    text.parse().map_err(|error: merit_terms::KeyIdError| ApiError::malformed(error.to_string()))
}

fn made(made: &NewKey) -> Value {
    let mut told = described(&made.key);
    told["secret"] = json!(made.secret);
    told["sequence"] = json!(made.sequence);
    told
}

fn described(key: &Key) -> Value {
    json!({
        "id": key.id,
        "role": key.role.map_or("", Role::as_str),
        "account": key.account,
        "version": key.version,
        "created_at": key.created_at.to_string(),
        "expires": key.expires.map(|time| time.to_string()),
        "revoked": key.revoked,
        "previous_until": key.previous_until.map(|time| time.to_string()),
    })
}
