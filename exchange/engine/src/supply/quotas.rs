//! Free tiers and commitments: what a provider sells under a quota in each period, never reset by quoting.

use merit_terms::{Period, ProviderId, Quota, Refusal, Tariff, Time, Usage};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::dues::{Due, Dues};
use crate::money::Calendar;

const QUOTAS_MAX: usize = 16;

/// A quota and what is used of it in its period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Allowance {
    pub(crate) quota: Quota,
    /// When the period began that is counted.
    since: Time,
    requests: u64,
    energy_mb_ms: u64,
    /// When its renewal is due, if that is waited for.
    renewal: Option<Time>,
    /// Grows when it begins to renew otherwise: what was reserved before is nothing to it.
    generation: u32,
}

/// What a lease reserved of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reserve {
    pub(crate) quota: u32,
    generation: u32,
    since: Time,
    energy_mb_ms: u64,
}

/// Energy in MB-ms that a tariff bills.
pub(crate) fn energy_mb_ms(tariff: &Tariff, memory_mb: u32, billed_ms: u64) -> u64 {
    u64::from(memory_mb.next_multiple_of(tariff.memory_step_mb)).saturating_mul(billed_ms)
}

/// The most energy that a lease may be billed for.
pub(crate) fn worst_energy_mb_ms(tariff: &Tariff, memory_mb: u32, timeout_ms: u32) -> u64 {
    let usage = Usage { wall_us: u64::from(timeout_ms) * 1000, ..Usage::default() };
    energy_mb_ms(tariff, memory_mb, tariff.billed_ms(&usage))
}

impl Reserve {
    /// What it means, for the digest.
    pub(crate) fn parts(&self) -> (u32, u32, Time, u64) {
        (self.quota, self.generation, self.since, self.energy_mb_ms)
    }
}

impl Allowance {
    fn since(&self, calendar: &Calendar) -> Time {
        self.quota.renews.map_or(Time::default(), |period| calendar.since(period))
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Requests and energy used in the present period.
    pub(crate) fn used(&self, calendar: &Calendar) -> (u64, u64) {
        if self.since == self.since(calendar) { (self.requests, self.energy_mb_ms) } else { (0, 0) }
    }

    pub(crate) fn affords(&self, energy_mb_ms: u64, calendar: &Calendar) -> bool {
        let (requests, energy) = self.used(calendar);
        self.quota.requests.is_none_or(|most| requests < most)
            && self.quota.energy_mb_ms.is_none_or(|most| energy.saturating_add(energy_mb_ms) <= most)
    }

    fn roll(&mut self, calendar: &Calendar) {
        (self.requests, self.energy_mb_ms) = self.used(calendar);
        self.since = self.since(calendar);
    }
}

/// Takes quotas in that a provider states; usage of those that were there stays, unless they renew otherwise.
pub(crate) fn state(provider: ProviderId, allowances: &mut Vec<Allowance>, quotas: &[Quota], dues: &mut Dues) {
    for quota in quotas {
        let at = allowances.iter().position(|known| known.quota.name == quota.name);
        match at.map(|at| (at, &mut allowances[at])) {
            Some((_, known)) if known.quota.renews == quota.renews => known.quota = quota.clone(),
            Some((at, known)) => {
                if let Some(renewal) = known.renewal {
                    dues.remove(&(renewal, Due::Renewal(provider, at as u32)));
                }
                *known = fresh(quota, known.generation + 1);
            }
            None => allowances.push(fresh(quota, 0)),
        }
    }
}

fn fresh(quota: &Quota, generation: u32) -> Allowance {
    Allowance { quota: quota.clone(), since: Time::default(), requests: 0, energy_mb_ms: 0, renewal: None, generation }
}

/// Refuses quotas that are too many with those that are known, or name one twice.
pub(crate) fn check(known: &[Allowance], quotas: &[Quota]) -> Result<(), Refusal> {
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

impl Engine {
    /// Reserves the worst case of a lease, in the period of its match.
    pub(crate) fn reserve(&mut self, provider: ProviderId, quota: u32, energy_mb_ms: u64) -> Reserve {
        let calendar = self.calendar;
        let allowance = &mut self.registry.providers[provider.index()].quotas[quota as usize];
        allowance.roll(&calendar);
        allowance.requests += 1;
        allowance.energy_mb_ms += energy_mb_ms;
        arm(allowance, provider, quota, &calendar, &mut self.dues);
        Reserve { quota, generation: allowance.generation, since: allowance.since, energy_mb_ms }
    }

    /// Returns what a lease did not use, if the period of its match still is: none used if it did not run.
    pub(crate) fn unreserve(&mut self, provider: ProviderId, reserve: Reserve, used_mb_ms: Option<u64>) {
        let calendar = self.calendar;
        let allowance = &mut self.registry.providers[provider.index()].quotas[reserve.quota as usize];
        allowance.roll(&calendar);
        if (allowance.since, allowance.generation) != (reserve.since, reserve.generation) {
            return;
        }
        let unused = reserve.energy_mb_ms - used_mb_ms.unwrap_or(0).min(reserve.energy_mb_ms);
        allowance.energy_mb_ms -= unused;
        if used_mb_ms.is_none() {
            allowance.requests -= 1;
        }
        self.wake_quota(provider, reserve.quota);
    }

    fn wake_quota(&mut self, provider: ProviderId, quota: u32) {
        if self.shelf.watched {
            self.shelf.wake_offers(provider, |offer| offer.quota == Some(quota));
            self.wake_bids();
        }
    }

    /// A period begins: what was sold out is there again.
    pub(crate) fn renew(&mut self, provider: ProviderId, quota: u32) {
        let calendar = self.calendar;
        let allowance = &mut self.registry.providers[provider.index()].quotas[quota as usize];
        allowance.renewal = None;
        allowance.roll(&calendar);
        self.wake_quota(provider, quota);
    }
}

fn arm(allowance: &mut Allowance, provider: ProviderId, quota: u32, calendar: &Calendar, dues: &mut Dues) {
    if let Some(period) = allowance.quota.renews.filter(|_| allowance.renewal.is_none()) {
        let renewal = next(period, calendar);
        allowance.renewal = Some(renewal);
        dues.insert((renewal, Due::Renewal(provider, quota)));
    }
}

fn next(period: Period, calendar: &Calendar) -> Time {
    let began = calendar.since(period);
    Time::start_of(period, began.period(period) + 1)
}
