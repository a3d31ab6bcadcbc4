//! Keys, for the operator: made, listed, revoked, rotated. A secret is said once.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use merit_proto::v1;
use merit_terms::{KeyId, Name, Role, Time};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::caller::{Caller, Operator};
use crate::doors::request::{Path, Sent};
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{read, read_or_default, time};
use crate::server::State as Broker;

type Answer = Result<Json<Value>, ApiError>;

/// The most of a grace: longer is another key.
const KEEP_PREVIOUS_MAX: Duration = Duration::from_secs(31 * 86_400);

#[derive(Deserialize)]
struct Create {
    role: String,
    account: Name,
    expires: Option<Time>,
}

/// `POST /v1/keys`.
pub(crate) async fn create(State(broker): State<Arc<Broker>>, _: Operator, Sent(body): Sent) -> Answer {
    let asked: Create = read(&body, &["role", "account", "expires"])?;
    let role: Role = asked.role.parse().map_err(|error| ApiError::malformed(format!("role: {error}")))?;
    let expires = asked.expires.map_or(0, Time::micros);
    if expires > 0 && Duration::from_micros(expires) <= SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    {
        return Err(ApiError::malformed("expires: has passed; leave it out for a key that never expires"));
    }
    let request =
        v1::CreateKeyRequest { role: v1::Role::from(role).into(), account: asked.account.to_string(), expires };
    Ok(Json(made(&answer(broker.exchange.keys.clone().create_key(request)).await?)))
}

/// `GET /v1/keys`: all, for the operator; for others those of their account.
pub(crate) async fn list(State(broker): State<Arc<Broker>>, caller: Caller) -> Answer {
    let listed = answer(broker.exchange.keys.clone().list_keys(v1::ListKeysRequest {})).await?;
    let keys = listed.keys.iter().filter(|key| caller.may_see(&key.account)).map(described);
    Ok(Json(json!({"keys": keys.collect::<Vec<_>>()})))
}

/// `DELETE /v1/keys/{id}`.
pub(crate) async fn revoke(State(broker): State<Arc<Broker>>, _: Operator, Path(id): Path<String>) -> Answer {
    let request = v1::RevokeKeyRequest { id: key_id(&id)? };
    Ok(Json(described(&answer(broker.exchange.keys.clone().revoke_key(request)).await?)))
}

#[derive(Default, Deserialize)]
struct Rotate {
    keep_previous_ms: Option<u64>,
}

/// `POST /v1/keys/{id}/rotate`.
pub(crate) async fn rotate(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let Rotate { keep_previous_ms } = read_or_default(&body, &["keep_previous_ms"])?;
    let keep_previous_ms = keep_previous_ms.unwrap_or(0);
    if Duration::from_millis(keep_previous_ms) > KEEP_PREVIOUS_MAX {
        return Err(ApiError::malformed("keep_previous_ms: at most 31 days"));
    }
    let request = v1::RotateKeyRequest { id: key_id(&id)?, keep_previous_ms };
    Ok(Json(made(&answer(broker.exchange.keys.clone().rotate_key(request)).await?)))
}

fn key_id(text: &str) -> Result<String, ApiError> {
    text.parse::<KeyId>().map(|id| id.to_string()).map_err(|error| ApiError::malformed(error.to_string()))
}

fn made(made: &v1::NewKey) -> Value {
    let mut told = described(&made.key.clone().unwrap_or_default());
    told["secret"] = json!(made.secret);
    told["sequence"] = json!(made.sequence);
    told
}

fn described(key: &v1::Key) -> Value {
    let some = |micros: u64| (micros > 0).then(|| time(micros));
    json!({
        "id": key.id,
        "role": Role::try_from(key.role()).map_or("", Role::as_str),
        "account": key.account,
        "version": key.version,
        "created_at": time(key.created_at),
        "expires": some(key.expires),
        "revoked": key.revoked,
        "previous_until": some(key.previous_until),
    })
}
