//! Accounts as messages and back: limits.

use merit_engine as engine;
use merit_proto::{FieldError, v1};
use merit_terms::Money;

use super::field::money;

pub(crate) fn account_limits_to_proto(limits: &engine::AccountLimits) -> v1::AccountLimits {
    v1::AccountLimits {
        credit_limit: limits.credit_limit.picodollars(),
        rate_per_second: limits.rate_per_second,
        exposure: limits.exposure.map(Money::picodollars),
        max_concurrency: limits.max_concurrency,
        budgets: limits.budgets.iter().map(Into::into).collect(),
    }
}

pub(crate) fn account_limits_from_proto(limits: &v1::AccountLimits) -> Result<engine::AccountLimits, FieldError> {
    Ok(engine::AccountLimits {
        credit_limit: money("credit_limit", limits.credit_limit)?,
        rate_per_second: limits.rate_per_second,
        exposure: limits.exposure.map(|most| money("exposure", most)).transpose()?,
        max_concurrency: limits.max_concurrency,
        budgets: limits.budgets.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
    })
}
