//! Conversion of messages to `terms` and back. Checks a message from outside once and names the bad field. Never knows
//! an engine's entity.

use merit_terms as terms;
use tonic::Status;

use crate::v1;

/// A field that is missing or not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl ToString) -> FieldError {
        FieldError { field: field.into(), message: message.to_string() }
    }
}

impl From<FieldError> for Status {
    fn from(error: FieldError) -> Status {
        Status::invalid_argument(error.to_string())
    }
}

/// Returns the value of `field`, or an error if it is absent.
pub fn required<T>(field: &'static str, value: Option<T>) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::new(field, "is missing"))
}

fn parse<T: std::str::FromStr<Err: ToString>>(field: &str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|error: T::Err| FieldError::new(field, error.to_string()))
}

fn parse_all<T: std::str::FromStr<Err: ToString>>(field: &str, texts: &[String]) -> Result<Vec<T>, FieldError> {
    texts.iter().map(|text| parse(field, text)).collect()
}

fn money(field: &str, picodollars: u64) -> Result<terms::Money, FieldError> {
    terms::Money::from_picodollars(picodollars)
        .ok_or_else(|| FieldError::new(field, format!("more than {} USD", terms::Money::MAX)))
}

impl From<&terms::Tariff> for v1::Tariff {
    fn from(t: &terms::Tariff) -> v1::Tariff {
        v1::Tariff {
            per_request: t.per_request.picodollars(),
            per_gb_second: t.per_gb_second.picodollars(),
            per_cpu_ms: t.per_cpu_ms.picodollars(),
            per_gb_egress: t.per_gb_egress.picodollars(),
            increment_ms: t.increment_ms,
            minimum_ms: t.minimum_ms,
            memory_step_mb: t.memory_step_mb,
            bills_cold_start: t.bills_cold_start,
        }
    }
}

/// Checks no maxima: the engine does, per rung.
impl From<&v1::Tariff> for terms::Tariff {
    fn from(t: &v1::Tariff) -> terms::Tariff {
        let rate = terms::Price::from_picodollars;
        terms::Tariff {
            per_request: rate(t.per_request),
            per_gb_second: rate(t.per_gb_second),
            per_cpu_ms: rate(t.per_cpu_ms),
            per_gb_egress: rate(t.per_gb_egress),
            increment_ms: t.increment_ms,
            minimum_ms: t.minimum_ms,
            memory_step_mb: t.memory_step_mb,
            bills_cold_start: t.bills_cold_start,
        }
    }
}

impl From<&terms::Rung> for v1::Rung {
    fn from(r: &terms::Rung) -> v1::Rung {
        v1::Rung {
            id: r.id,
            pool: r.pool,
            capacity_mb: r.capacity_mb,
            tariff: Some((&r.tariff).into()),
            vcpus_milli: r.vcpus_milli,
            memory_min_mb: r.memory_min_mb,
            memory_max_mb: r.memory_max_mb,
            longest_ms: r.longest_ms,
            enforces_timeout: r.enforces_timeout,
            labels: r.labels.clone(),
            audience: r.audience.iter().map(ToString::to_string).collect(),
            quota: r.quota.as_ref().map(ToString::to_string).unwrap_or_default(),
            expires: r.expires.map_or(0, terms::Time::micros),
        }
    }
}

impl TryFrom<&v1::Rung> for terms::Rung {
    type Error = FieldError;
    fn try_from(r: &v1::Rung) -> Result<terms::Rung, FieldError> {
        let tariff = required("tariff", r.tariff.as_ref())?;
        Ok(terms::Rung {
            id: r.id,
            pool: r.pool,
            capacity_mb: r.capacity_mb,
            tariff: tariff.into(),
            vcpus_milli: r.vcpus_milli,
            memory_min_mb: r.memory_min_mb,
            memory_max_mb: r.memory_max_mb,
            longest_ms: r.longest_ms,
            enforces_timeout: r.enforces_timeout,
            labels: r.labels.clone(),
            audience: parse_all("audience", &r.audience)?,
            quota: (!r.quota.is_empty()).then(|| parse("quota", &r.quota)).transpose()?,
            expires: (r.expires > 0).then(|| terms::Time::from_micros(r.expires)),
        })
    }
}

impl From<terms::Period> for v1::Period {
    fn from(period: terms::Period) -> v1::Period {
        match period {
            terms::Period::Day => v1::Period::Day,
            terms::Period::Month => v1::Period::Month,
        }
    }
}

fn period(period: v1::Period) -> Option<terms::Period> {
    match period {
        v1::Period::Unspecified => None,
        v1::Period::Day => Some(terms::Period::Day),
        v1::Period::Month => Some(terms::Period::Month),
    }
}

impl From<&terms::Budget> for v1::Budget {
    fn from(budget: &terms::Budget) -> v1::Budget {
        v1::Budget { period: v1::Period::from(budget.period).into(), amount: budget.amount.picodollars() }
    }
}

impl TryFrom<&v1::Budget> for terms::Budget {
    type Error = FieldError;
    fn try_from(budget: &v1::Budget) -> Result<terms::Budget, FieldError> {
        Ok(terms::Budget {
            period: period(budget.period()).ok_or_else(|| FieldError::new("period", "is missing"))?,
            amount: money("amount", budget.amount)?,
        })
    }
}

impl From<&terms::Quota> for v1::Quota {
    fn from(quota: &terms::Quota) -> v1::Quota {
        v1::Quota {
            name: quota.name.to_string(),
            requests: quota.requests,
            energy_mb_ms: quota.energy_mb_ms,
            renews: quota.renews.map_or(v1::Period::Unspecified, Into::into).into(),
        }
    }
}

impl TryFrom<&v1::Quota> for terms::Quota {
    type Error = FieldError;
    fn try_from(quota: &v1::Quota) -> Result<terms::Quota, FieldError> {
        Ok(terms::Quota {
            name: parse("quota", &quota.name)?,
            requests: quota.requests,
            energy_mb_ms: quota.energy_mb_ms,
            renews: period(quota.renews()),
        })
    }
}

impl From<terms::Protection> for v1::Protection {
    fn from(protection: terms::Protection) -> v1::Protection {
        v1::Protection { leases: protection.leases, within_ms: protection.within_ms }
    }
}

impl From<v1::Protection> for terms::Protection {
    fn from(protection: v1::Protection) -> terms::Protection {
        terms::Protection { leases: protection.leases, within_ms: protection.within_ms }
    }
}

impl From<&terms::PoolSize> for v1::PoolSize {
    fn from(p: &terms::PoolSize) -> v1::PoolSize {
        v1::PoolSize { memory_mb: p.memory_mb, slots: p.slots }
    }
}

impl From<&v1::PoolSize> for terms::PoolSize {
    fn from(p: &v1::PoolSize) -> terms::PoolSize {
        terms::PoolSize { memory_mb: p.memory_mb, slots: p.slots }
    }
}

impl From<&terms::Usage> for v1::Usage {
    fn from(u: &terms::Usage) -> v1::Usage {
        v1::Usage { wall_us: u.wall_us, cpu_us: u.cpu_us, cold_us: u.cold_us, egress_bytes: u.egress_bytes }
    }
}

impl From<&v1::Usage> for terms::Usage {
    fn from(u: &v1::Usage) -> terms::Usage {
        terms::Usage { wall_us: u.wall_us, cpu_us: u.cpu_us, cold_us: u.cold_us, egress_bytes: u.egress_bytes }
    }
}

impl From<terms::LeaseId> for v1::LeaseId {
    fn from(id: terms::LeaseId) -> v1::LeaseId {
        v1::LeaseId { run: id.run, sequence: id.sequence }
    }
}

impl From<v1::LeaseId> for terms::LeaseId {
    fn from(id: v1::LeaseId) -> terms::LeaseId {
        terms::LeaseId { run: id.run, sequence: id.sequence }
    }
}

impl From<&terms::Limits> for v1::Limits {
    fn from(l: &terms::Limits) -> v1::Limits {
        let names = |names: &[terms::Name]| names.iter().map(ToString::to_string).collect();
        v1::Limits {
            max_cost: l.max_cost.map(|cost| cost.picodollars()),
            max_price: l.max_price.map(|price| price.picodollars()),
            max_latency_ms: l.max_latency_ms,
            only: names(&l.only),
            ignore: names(&l.ignore),
            markets: l.markets.iter().map(ToString::to_string).collect(),
            labels: l.labels.iter().map(|(n, v)| v1::Label { name: n.clone(), value: v.clone() }).collect(),
        }
    }
}

impl TryFrom<&v1::Limits> for terms::Limits {
    type Error = FieldError;
    fn try_from(l: &v1::Limits) -> Result<terms::Limits, FieldError> {
        Ok(terms::Limits {
            max_cost: l.max_cost.map(|cost| money("max_cost", cost)).transpose()?,
            max_price: l.max_price.map(terms::Price::from_picodollars),
            max_latency_ms: l.max_latency_ms,
            only: parse_all("only", &l.only)?,
            ignore: parse_all("ignore", &l.ignore)?,
            markets: parse_all("markets", &l.markets)?,
            labels: l.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect(),
        })
    }
}

impl From<terms::Execution> for v1::Execution {
    fn from(execution: terms::Execution) -> v1::Execution {
        match execution {
            terms::Execution::NotSent => v1::Execution::NotSent,
            terms::Execution::Unknown => v1::Execution::Unknown,
            terms::Execution::Executed => v1::Execution::Executed,
        }
    }
}

impl TryFrom<v1::Execution> for terms::Execution {
    type Error = FieldError;
    fn try_from(execution: v1::Execution) -> Result<terms::Execution, FieldError> {
        match execution {
            v1::Execution::Unspecified => Err(FieldError::new("execution", "is missing")),
            v1::Execution::NotSent => Ok(terms::Execution::NotSent),
            v1::Execution::Unknown => Ok(terms::Execution::Unknown),
            v1::Execution::Executed => Ok(terms::Execution::Executed),
        }
    }
}

impl From<terms::Adapter> for v1::Adapter {
    fn from(adapter: terms::Adapter) -> v1::Adapter {
        match adapter {
            terms::Adapter::Agent => v1::Adapter::Agent,
            terms::Adapter::Http => v1::Adapter::Http,
        }
    }
}

impl From<v1::Adapter> for terms::Adapter {
    fn from(adapter: v1::Adapter) -> terms::Adapter {
        match adapter {
            v1::Adapter::Agent => terms::Adapter::Agent,
            v1::Adapter::Http => terms::Adapter::Http,
        }
    }
}

impl From<terms::Outcome> for v1::Outcome {
    fn from(outcome: terms::Outcome) -> v1::Outcome {
        match outcome {
            terms::Outcome::Ok => v1::Outcome::Ok,
            terms::Outcome::Exit => v1::Outcome::Exit,
            terms::Outcome::Trap => v1::Outcome::Trap,
            terms::Outcome::OutOfMemory => v1::Outcome::OutOfMemory,
            terms::Outcome::Timeout => v1::Outcome::Timeout,
            terms::Outcome::OutputLimit => v1::Outcome::OutputLimit,
        }
    }
}

impl TryFrom<v1::Outcome> for terms::Outcome {
    type Error = FieldError;
    fn try_from(outcome: v1::Outcome) -> Result<terms::Outcome, FieldError> {
        match outcome {
            v1::Outcome::Unspecified => Err(FieldError::new("outcome", "is missing")),
            v1::Outcome::Ok => Ok(terms::Outcome::Ok),
            v1::Outcome::Exit => Ok(terms::Outcome::Exit),
            v1::Outcome::Trap => Ok(terms::Outcome::Trap),
            v1::Outcome::OutOfMemory => Ok(terms::Outcome::OutOfMemory),
            v1::Outcome::Timeout => Ok(terms::Outcome::Timeout),
            v1::Outcome::OutputLimit => Ok(terms::Outcome::OutputLimit),
        }
    }
}

impl From<terms::Role> for v1::Role {
    fn from(role: terms::Role) -> v1::Role {
        match role {
            terms::Role::Client => v1::Role::Client,
            terms::Role::Provider => v1::Role::Provider,
            terms::Role::Operator => v1::Role::Operator,
            terms::Role::Broker => v1::Role::Broker,
        }
    }
}

impl TryFrom<v1::Role> for terms::Role {
    type Error = FieldError;
    fn try_from(role: v1::Role) -> Result<terms::Role, FieldError> {
        match role {
            v1::Role::Unspecified => Err(FieldError::new("role", "is missing")),
            v1::Role::Client => Ok(terms::Role::Client),
            v1::Role::Provider => Ok(terms::Role::Provider),
            v1::Role::Operator => Ok(terms::Role::Operator),
            v1::Role::Broker => Ok(terms::Role::Broker),
        }
    }
}
