//! Accounts and providers as they stand.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use merit_proto::v1;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::exchange::answer;
use crate::guard::DEV;
use crate::json::wide_decimal;
use crate::serve::State as Broker;

pub(crate) async fn get(State(broker): State<Arc<Broker>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let mut client = broker.exchange.registry.clone();
    Ok(Json(account_json(&answer(client.get_account(v1::GetAccountRequest { id })).await?)))
}

/// Every account, for the operator: their sum is zero, always.
pub(crate) async fn list(State(broker): State<Arc<Broker>>) -> Result<Json<Value>, ApiError> {
    let mut client = broker.exchange.registry.clone();
    let listed = answer(client.list_accounts(v1::ListAccountsRequest {})).await?;
    let accounts: Vec<Value> = listed.accounts.iter().map(account_json).collect();
    Ok(Json(json!({"accounts": accounts, "sum": wide_decimal(&listed.sum)})))
}

/// There are no credit lines and no budgets yet.
fn account_json(account: &v1::Account) -> Value {
    json!({
        "id": account.id,
        "balance": wide_decimal(&account.balance),
        "held": wide_decimal(&account.held),
        "credit_limit": "0",
        "budgets": [],
    })
}

pub(crate) async fn providers(State(broker): State<Arc<Broker>>) -> Result<Json<Value>, ApiError> {
    let mut client = broker.exchange.registry.clone();
    let listed = answer(client.list_providers(v1::ListProvidersRequest { account: DEV.to_owned() })).await?;
    let providers = listed.providers.iter().map(|provider| {
        let pools = provider.pools.iter().map(|pool| {
            let size = pool.size.unwrap_or_default();
            json!({"memory_mb": size.memory_mb, "slots": size.slots, "leased_mb": pool.leased_mb, "leases": pool.leases})
        });
        json!({
            "name": provider.name,
            "account": provider.account,
            "kind": if provider.kind() == v1::ProviderKind::Own { "own" } else { "market" },
            "online": provider.online,
            "offers": provider.offers,
            "labels": provider.labels,
            "pools": pools.collect::<Vec<_>>(),
        })
    });
    Ok(Json(json!({"providers": providers.collect::<Vec<_>>()})))
}
