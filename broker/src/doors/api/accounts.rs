//! Accounts: how they stand, and what the operator does about them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use merit_proto::v1;
use merit_terms::{Budget, LeaseId, Money, Name};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::caller::{Caller, Operator};
use crate::doors::request::{Path, Sent};
use crate::doors::{accepted, path_name};
use crate::error::ApiError;
use crate::exchange::clients::answer;
use crate::json::{check_budgets, decimal, read, read_or_default, spending, typed, wide_decimal};
use crate::server::State as Broker;

type Answer = Result<Json<Value>, ApiError>;

pub(crate) async fn get(State(broker): State<Arc<Broker>>, caller: Caller, Path(id): Path<String>) -> Answer {
    let id = path_name(&id)?;
    caller.must_see(&id)?;
    let mut client = broker.exchange.registry.clone();
    Ok(Json(account_json(&answer(client.get_account(v1::GetAccountRequest { id })).await?)))
}

/// Every account, for the operator: their sum is zero, always.
pub(crate) async fn list(State(broker): State<Arc<Broker>>, _: Operator) -> Answer {
    let mut client = broker.exchange.registry.clone();
    let listed = answer(client.list_accounts(v1::ListAccountsRequest {})).await?;
    let accounts: Vec<Value> = listed.accounts.iter().map(account_json).collect();
    Ok(Json(json!({"accounts": accounts, "sum": wide_decimal(&listed.sum)})))
}

fn account_json(account: &v1::Account) -> Value {
    let limits = account.limits.clone().unwrap_or_default();
    json!({
        "id": account.id,
        "balance": wide_decimal(&account.balance),
        "held": wide_decimal(&account.held),
        "frozen": account.frozen,
        "credit_limit": decimal(limits.credit_limit),
        "rate_per_second": limits.rate_per_second,
        "exposure": limits.exposure.map(decimal),
        "max_concurrency": limits.max_concurrency,
        "budgets": account.budgets.iter().map(spending).collect::<Vec<_>>(),
    })
}

#[derive(Deserialize)]
struct Open {
    id: Name,
}

pub(crate) async fn open(State(broker): State<Arc<Broker>>, _: Operator, Sent(body): Sent) -> Answer {
    let Open { id } = read(&body, &["id"])?;
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.open_account(v1::OpenAccountRequest { id: id.to_string() })).await
}

#[derive(Deserialize)]
struct Amount {
    amount: Money,
}

pub(crate) async fn deposit(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let account = path_name(&id)?;
    let Amount { amount } = read(&body, &["amount"])?;
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.deposit(v1::DepositRequest { account, amount: amount.picodollars() })).await
}

pub(crate) async fn payout(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let account = path_name(&id)?;
    let Amount { amount } = read(&body, &["amount"])?;
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.payout(v1::PayoutRequest { account, amount: amount.picodollars() })).await
}

/// The account of the path on one side of the entry, `from` or `to` on the other.
#[derive(Deserialize)]
struct Correct {
    #[serde(default)]
    kind: CorrectionKind,
    from: Option<Name>,
    to: Option<Name>,
    amount: Money,
    about: Option<String>,
    reason: String,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CorrectionKind {
    #[default]
    Correction,
    Refund,
}

pub(crate) async fn correct(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let account = path_name(&id)?;
    let asked: Correct = read(&body, &["kind", "from", "to", "amount", "about", "reason"])?;
    let (from, to) = match (asked.from, asked.to) {
        (Some(from), None) => (from.to_string(), account),
        (None, Some(to)) => (account, to.to_string()),
        _ => {
            let message = format!(
                "name the other account, either `from` which the amount comes to {account} or `to` which it goes"
            );
            return Err(ApiError::malformed(message));
        }
    };
    let about = asked.about.map(|id| id.parse::<LeaseId>()).transpose();
    let request = v1::CorrectRequest {
        refund: asked.kind == CorrectionKind::Refund,
        from,
        to,
        amount: asked.amount.picodollars(),
        about: about.map_err(|error| ApiError::malformed(format!("about: {error}")))?.map(Into::into),
        reason: asked.reason,
    };
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.correct(request)).await
}

/// Unless it says otherwise, the account is to be frozen.
#[derive(Deserialize)]
#[serde(default)]
struct Freeze {
    frozen: bool,
}

impl Default for Freeze {
    fn default() -> Freeze {
        Freeze { frozen: true }
    }
}

pub(crate) async fn freeze(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let account = path_name(&id)?;
    let Freeze { frozen } = read_or_default(&body, &["frozen"])?;
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.freeze_account(v1::FreezeAccountRequest { account, frozen })).await
}

#[derive(Deserialize)]
struct Limits {
    #[serde(default)]
    credit_limit: Money,
    rate_per_second: Option<u32>,
    exposure: Option<Money>,
    max_concurrency: Option<u32>,
    #[serde(default)]
    budgets: Vec<Budget>,
}

const LIMIT_FIELDS: [&str; 5] = ["credit_limit", "rate_per_second", "exposure", "max_concurrency", "budgets"];

/// Replaces the limits; what is left out sets none.
pub(crate) async fn limits(
    State(broker): State<Arc<Broker>>,
    _: Operator,
    Path(id): Path<String>,
    Sent(body): Sent,
) -> Answer {
    let account = path_name(&id)?;
    let value: Value = read(&body, &LIMIT_FIELDS)?;
    check_budgets(&value)?;
    let limits: Limits = typed(value)?;
    let limits = v1::AccountLimits {
        credit_limit: limits.credit_limit.picodollars(),
        rate_per_second: limits.rate_per_second,
        exposure: limits.exposure.map(Money::picodollars),
        max_concurrency: limits.max_concurrency,
        budgets: limits.budgets.iter().map(Into::into).collect(),
    };
    let mut operator = broker.exchange.operator.clone();
    accepted(operator.set_account_limits(v1::SetAccountLimitsRequest { account, limits: Some(limits) })).await
}
