//! Quotas: the free tiers and commitments that a provider sells in each period, never reset by quoting.

use merit_terms::{Period, ProviderId, Quota, Refusal, Tariff, Time, Usage};
use serde::{Deserialize, Serialize};

use crate::deadlines::{Deadline, Deadlines};
use crate::money::spending::Calendar;

/// Maximum quotas of a provider.
const QUOTAS_MAX: usize = 16;

/// A quota and its usage in its period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Allowance {
    quota: Quota,
    /// Begin of the period that is counted.
    since: Time,
    requests: u64,
    energy_mb_ms: u64,
    /// Time of its renewal, while one is due.
    renewal: Option<Time>,
    /// Grows with each change of its period: reserves of an earlier generation are not returned.
    generation: u32,
}

/// The part of a quota that a lease reserved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reserve {
    quota: u32,
    generation: u32,
    since: Time,
    energy_mb_ms: u64,
}

/// Returns the energy that a tariff bills, in MB-ms.
pub(crate) fn energy_mb_ms(tariff: &Tariff, memory_mb: u32, billed_ms: u64) -> u64 {
    u64::from(memory_mb.next_multiple_of(tariff.memory_step_mb)).saturating_mul(billed_ms)
}

/// Returns the worst case of the energy that a lease is billed for, in MB-ms.
pub(crate) fn worst_energy_mb_ms(tariff: &Tariff, memory_mb: u32, timeout_ms: u32) -> u64 {
    let usage = Usage { wall_us: u64::from(timeout_ms) * 1000, ..Usage::default() };
    energy_mb_ms(tariff, memory_mb, tariff.billed_ms(&usage))
}

impl Reserve {
    /// Returns the provider's quota, by index.
    pub(super) fn quota(&self) -> u32 {
        self.quota
    }
}

impl Allowance {
    fn since(&self, calendar: &Calendar) -> Time {
        self.quota.renews.map_or(Time::default(), |period| calendar.since(period))
    }

    pub(crate) fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Returns the requests and the energy used in the present period.
    pub(crate) fn used(&self, calendar: &Calendar) -> (u64, u64) {
        if self.since == self.since(calendar) { (self.requests, self.energy_mb_ms) } else { (0, 0) }
    }

    /// Returns whether one more request with so much energy is within the quota.
    pub(crate) fn affords(&self, energy_mb_ms: u64, calendar: &Calendar) -> bool {
        let (requests, energy) = self.used(calendar);
        self.quota.requests.is_none_or(|most| requests < most)
            && self.quota.energy_mb_ms.is_none_or(|most| energy.saturating_add(energy_mb_ms) <= most)
    }

    /// Goes to the present period.
    fn roll(&mut self, calendar: &Calendar) {
        (self.requests, self.energy_mb_ms) = self.used(calendar);
        self.since = self.since(calendar);
    }

    /// Reserves one request and so much energy, in the period of the match. Its renewal is due from then on.
    pub(super) fn reserve(
        &mut self,
        (provider, quota): (ProviderId, u32),
        energy_mb_ms: u64,
        calendar: &Calendar,
        deadlines: &mut Deadlines,
    ) -> Reserve {
        self.roll(calendar);
        self.requests += 1;
        self.energy_mb_ms += energy_mb_ms;
        if let Some(period) = self.quota.renews.filter(|_| self.renewal.is_none()) {
            let renewal = next(period, calendar);
            self.renewal = Some(renewal);
            deadlines.insert(renewal, Deadline::Renewal(provider, quota));
        }
        Reserve { quota, generation: self.generation, since: self.since, energy_mb_ms }
    }

    /// Returns the unused part of a reserve; `used_mb_ms` is none if the lease did not run. Returns false if the period
    /// of the match is over.
    pub(super) fn unreserve(&mut self, reserve: Reserve, used_mb_ms: Option<u64>, calendar: &Calendar) -> bool {
        self.roll(calendar);
        if (self.since, self.generation) != (reserve.since, reserve.generation) {
            return false;
        }
        let unused = reserve.energy_mb_ms - used_mb_ms.unwrap_or(0).min(reserve.energy_mb_ms);
        self.energy_mb_ms -= unused;
        if used_mb_ms.is_none() {
            self.requests -= 1;
        }
        true
    }

    /// Begins a period.
    pub(super) fn renew(&mut self, calendar: &Calendar) {
        self.renewal = None;
        self.roll(calendar);
    }
}

/// Takes in the quotas that a provider states. A known quota keeps its usage, unless its period changes.
pub(super) fn state(
    provider: ProviderId,
    allowances: &mut Vec<Allowance>,
    quotas: &[Quota],
    deadlines: &mut Deadlines,
) {
    for quota in quotas {
        let at = allowances.iter().position(|known| known.quota.name == quota.name);
        match at.map(|at| (at, &mut allowances[at])) {
            Some((_, known)) if known.quota.renews == quota.renews => known.quota = quota.clone(),
            Some((at, known)) => {
                if let Some(renewal) = known.renewal {
                    deadlines.remove(renewal, Deadline::Renewal(provider, at as u32));
                }
                *known = fresh(quota, known.generation + 1);
            }
            None => allowances.push(fresh(quota, 0)),
        }
    }
}

/// Makes a quota without usage.
fn fresh(quota: &Quota, generation: u32) -> Allowance {
    Allowance { quota: quota.clone(), since: Time::default(), requests: 0, energy_mb_ms: 0, renewal: None, generation }
}

/// Refuses quotas that name one twice, or are too many with the known ones.
pub(super) fn check(known: &[Allowance], quotas: &[Quota]) -> Result<(), Refusal> {
    let invalid = |message: String| Err(Refusal::Invalid { field: "quotas".to_owned(), message });
    for (i, quota) in quotas.iter().enumerate() {
        if quotas[..i].iter().any(|other| other.name == quota.name) {
            return invalid(format!("{} stands twice", quota.name));
        }
    }
    let new = quotas.iter().filter(|quota| known.iter().all(|known| known.quota.name != quota.name)).count();
    if known.len() + new > QUOTAS_MAX {
        return invalid(format!("{} with those stated before; at most {QUOTAS_MAX}", known.len() + new));
    }
    Ok(())
}

/// Returns the begin of the next period.
fn next(period: Period, calendar: &Calendar) -> Time {
    let began = calendar.since(period);
    Time::start_of(period, began.period(period) + 1)
}
