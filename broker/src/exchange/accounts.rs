//! Accounts in the registry: balances, holds, limits and budgets.

use merit_proto::v1;
use merit_terms::{Balance, Budget, Period};

use super::clients::{Exchange, answer};
use crate::error::ApiError;

/// An account as it stands.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) balance: Balance,
    pub(crate) held: Balance,
    pub(crate) frozen: bool,
    pub(crate) limits: AccountLimits,
    pub(crate) budgets: Vec<BudgetUse>,
}

/// The limits that the operator set; none sets no limit.
#[derive(Debug, Default)]
pub(crate) struct AccountLimits {
    /// Picodollars below zero.
    pub(crate) credit_limit: u64,
    pub(crate) rate_per_second: Option<u32>,
    /// Picodollars.
    pub(crate) exposure: Option<u64>,
    pub(crate) max_concurrency: Option<u32>,
    pub(crate) budgets: Vec<Budget>,
}

/// A budget in its present period.
#[derive(Debug)]
pub(crate) struct BudgetUse {
    /// None: it never renews.
    pub(crate) period: Option<Period>,
    /// Picodollars.
    pub(crate) amount: u64,
    pub(crate) spent: Balance,
    pub(crate) held: Balance,
}

impl Exchange {
    pub(crate) async fn account(&self, id: String) -> Result<Account, ApiError> {
        answer(self.registry.clone().get_account(v1::GetAccountRequest { id })).await.map(Into::into)
    }

    /// Returns every account and the sum of all balances.
    pub(crate) async fn accounts(&self) -> Result<(Vec<Account>, Balance), ApiError> {
        let listed = answer(self.registry.clone().list_accounts(v1::ListAccountsRequest {})).await?;
        Ok((listed.accounts.into_iter().map(Into::into).collect(), balance(&listed.sum)))
    }

    /// Returns the calls a second that the account may make; none for no limit.
    pub(crate) async fn account_rate(&self, id: &str) -> Result<Option<u32>, ApiError> {
        let request = v1::GetAccountRequest { id: id.to_owned() };
        let found = answer(self.registry.clone().get_account(request)).await?;
        Ok(found.limits.and_then(|limits| limits.rate_per_second))
    }
}

impl From<v1::Account> for Account {
    fn from(account: v1::Account) -> Account {
        let limits = account.limits.unwrap_or_default();
        Account {
            id: account.id,
            balance: balance(&account.balance),
            held: balance(&account.held),
            frozen: account.frozen,
            limits: AccountLimits {
                credit_limit: limits.credit_limit,
                rate_per_second: limits.rate_per_second,
                exposure: limits.exposure,
                max_concurrency: limits.max_concurrency,
                budgets: limits.budgets.iter().filter_map(|budget| Budget::try_from(budget).ok()).collect(),
            },
            budgets: budget_uses(&account.budgets),
        }
    }
}

pub(super) fn account_limits_message(limits: &AccountLimits) -> v1::AccountLimits {
    v1::AccountLimits {
        credit_limit: limits.credit_limit,
        rate_per_second: limits.rate_per_second,
        exposure: limits.exposure,
        max_concurrency: limits.max_concurrency,
        budgets: limits.budgets.iter().map(Into::into).collect(),
    }
}

pub(super) fn budget_uses(spending: &[v1::BudgetSpending]) -> Vec<BudgetUse> {
    let budget_use = |of: &v1::BudgetSpending| {
        let budget = of.budget.unwrap_or_default();
        BudgetUse {
            period: period(budget.period()),
            amount: budget.amount,
            spent: balance(&of.spent),
            held: balance(&of.held),
        }
    };
    spending.iter().map(budget_use).collect()
}

pub(super) fn period(period: v1::Period) -> Option<Period> {
    match period {
        v1::Period::Day => Some(Period::Day),
        v1::Period::Month => Some(Period::Month),
        v1::Period::Unspecified => None,
    }
}

/// Returns the amount in decimal picodollars, of 128 bits.
pub(super) fn balance(picodollars: &str) -> Balance {
    Balance::from_picodollars(picodollars.parse().unwrap_or(0))
}
