//! The gateway's list of functions, answered from the registry.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{NAMESPACE, within_account};
use crate::broker::Broker;
use crate::caller::Caller;
use crate::doors::api::functions::must_find;
use crate::doors::error_shape::openfaas as errors;
use crate::doors::request::{Path, Query};
use crate::error::ApiError;
use crate::exchange::functions::Function;

/// Functions that are asked for at once.
const PAGE_MAX: u32 = 1_000;

#[derive(Deserialize)]
pub(crate) struct Namespace {
    namespace: Option<String>,
}

/// Handles `GET /system/functions`.
pub(crate) async fn list(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Query(asked): Query<Namespace>,
) -> Response {
    let listed = async {
        let caller = caller?;
        caller.must_call()?;
        let own = asked
            .namespace
            .as_deref()
            .is_none_or(|namespace| namespace.is_empty() || namespace == NAMESPACE || *namespace == *caller.account);
        let (mut told, mut after) = (Vec::new(), own.then(String::new));
        // The gateway's list has no pages; here a page at a time is held.
        while let Some(name) = after {
            let page = broker.exchange.functions(&caller.account, &name, PAGE_MAX).await?;
            told.extend(page.functions.iter().map(status));
            after = page.next;
        }
        Ok::<_, ApiError>(Json(told))
    };
    listed.await.map_or_else(errors::respond, IntoResponse::into_response)
}

/// Handles `GET /system/function/{name}`.
pub(crate) async fn get(
    State(broker): State<Arc<Broker>>,
    caller: Result<Caller, ApiError>,
    Path(name): Path<String>,
) -> Response {
    let found = async {
        let caller = caller?;
        caller.must_call()?;
        let name = within_account(&name, &caller)?;
        Ok::<_, ApiError>(Json(status(&must_find(&broker, &caller, name).await?)))
    };
    found.await.map_or_else(errors::respond, IntoResponse::into_response)
}

fn status(function: &Function) -> Value {
    let newest = function.revisions.last().cloned().unwrap_or_default();
    let digest = &newest.module;
    let image = if digest.is_empty() { String::new() } else { format!("sha256:{}", hex::encode(digest)) };
    json!({
        "name": function.name,
        "namespace": function.account,
        "image": image,
        "labels": function.settings.labels,
        "annotations": {"merit.revision": function.live.to_string()},
        // Nothing is scaled here: any provider may serve a call.
        "replicas": 1,
        "availableReplicas": 1,
        "limits": {"memory": format!("{}Mi", newest.memory_mb)},
    })
}

/// Handles `GET /system/info`.
pub(crate) async fn info() -> Json<Value> {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({
        "arch": std::env::consts::ARCH,
        "provider": {"provider": "merit", "orchestration": "merit", "version": {"release": version, "sha": ""}},
        "version": {"release": version, "sha": "", "commit_message": ""},
    }))
}
