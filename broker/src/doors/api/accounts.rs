//! Accounts: how they stand, and the operator's commands about them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_terms::{Budget, LeaseId, Money, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::{JsonAnswer, accepted, budget};
use crate::broker::Broker;
use crate::caller::{Caller, Operator};
use crate::doors::names::path_name;
use crate::doors::request::{Path, Sent};
use crate::error::ApiError;
use crate::exchange::accounts::{Account, AccountLimits};
use crate::exchange::operator::Correction;
use crate::json::{check_budgets, decimal, read, read_or_default, typed};

pub(crate) async fn get(State(broker): State<Arc<Broker>>, caller: Caller, Path(id): Path<String>) -> JsonAnswer {
    let id = path_name(&id)?;
    caller.must_see(&id)?;
    Ok(Json(account_json(&broker.exchange.account(id).await?)))
}

/// Lists every account, for the operator. Their sum is always zero.
pub(crate) async fn list(State(broker): State<Arc<Broker>>, _: Operator) -> JsonAnswer {
    let (accounts, sum) = broker.exchange.accounts().await?;
    let accounts: Vec<Value> = accounts.iter().map(account_json).collect();
    Ok(Json(json!({"accounts": accounts, "sum": sum.to_string()})))
}

fn account_json(account: &Account) -> Value {
    let limits = &account.limits;
    json!({
        "id": account.id,
        "balance": account.balance.to_string(),
        "held": account.held.to_string(),
        "frozen": account.frozen,
        "credit_limit": decimal(limits.credit_limit),
        "rate_per_second": limits.rate_per_second,
        "exposure": limits.exposure.map(decimal),
        "max_concurrency": limits.max_concurrency,
        "budgets": account.budgets.iter().map(budget).collect::<Vec<_>>(),
    })
}

#[derive(Deserialize)]
struct OpenBody {
    id: Name,
}

pub(crate) async fn open(State(broker): State<Arc<Broker>>, _: Operator, Sent(body): Sent) -> JsonAnswer {
    let OpenBody { id } = read(&body, &["id"])?;
    Ok(accepted(broker.exchange.open_account(id.to_string()).await?))
}

#[derive(Deserialize)]
struct AmountBody {
    amount: Money,
}

pub(crate) async fn deposit(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let account = path_name(&id)?;
    let AmountBody { amount } = read(&body, &["amount"])?;
    Ok(accepted(broker.exchange.deposit(account, amount).await?))
}

pub(crate) async fn payout(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let account = path_name(&id)?;
    let AmountBody { amount } = read(&body, &["amount"])?;
    Ok(accepted(broker.exchange.payout(account, amount).await?))
}

/// The account of the path is on one side of the entry, `from` or `to` on the other.
#[derive(Deserialize)]
struct CorrectBody {
    #[serde(default)]
    kind: CorrectionField,
    from: Option<Name>,
    to: Option<Name>,
    amount: Money,
    about: Option<String>,
    reason: String,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CorrectionField {
    #[default]
    Correction,
    Refund,
}

pub(crate) async fn correct(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let account = path_name(&id)?;
    let asked: CorrectBody = read(&body, &["kind", "from", "to", "amount", "about", "reason"])?;
    let (from, to) = match (asked.from, asked.to) {
        (Some(from), None) => (from.to_string(), account),
        (None, Some(to)) => (account, to.to_string()),
        _ => {
            let message = format!("name the other account: `from` to credit {account}, or `to` to debit it");
            return Err(ApiError::malformed(message));
        }
    };
    let about = asked.about.map(|id| id.parse::<LeaseId>()).transpose();
    let entry = Correction {
        refund: asked.kind == CorrectionField::Refund,
        from,
        to,
        amount: asked.amount,
        about: about.map_err(|error| ApiError::malformed(format!("about: {error}")))?,
        reason: asked.reason,
    };
    Ok(accepted(broker.exchange.correct(entry).await?))
}

/// A body without the field freezes the account.
#[derive(Deserialize)]
#[serde(default)]
struct FreezeBody {
    frozen: bool,
}

impl Default for FreezeBody {
    fn default() -> FreezeBody {
        FreezeBody { frozen: true }
    }
}

pub(crate) async fn freeze(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let account = path_name(&id)?;
    let FreezeBody { frozen } = read_or_default(&body, &["frozen"])?;
    Ok(accepted(broker.exchange.freeze_account(account, frozen).await?))
}

#[derive(Deserialize)]
struct AccountLimitsBody {
    #[serde(default)]
    credit_limit: Money,
    rate_per_second: Option<u32>,
    exposure: Option<Money>,
    max_concurrency: Option<u32>,
    #[serde(default)]
    budgets: Vec<Budget>,
}

const LIMIT_FIELDS: [&str; 5] = ["credit_limit", "rate_per_second", "exposure", "max_concurrency", "budgets"];

/// Replaces the limits of an account. A limit that is left out is none.
pub(crate) async fn limits(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> JsonAnswer {
    let account = path_name(&id)?;
    let value: Value = read(&body, &LIMIT_FIELDS)?;
    check_budgets(&value)?;
    let limits: AccountLimitsBody = typed(value)?;
    let limits = AccountLimits {
        credit_limit: limits.credit_limit.picodollars(),
        rate_per_second: limits.rate_per_second,
        exposure: limits.exposure.map(Money::picodollars),
        max_concurrency: limits.max_concurrency,
        budgets: limits.budgets,
    };
    Ok(accepted(broker.exchange.limit_account(account, &limits).await?))
}
