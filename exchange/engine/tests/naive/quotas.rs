//! Quotas of providers: their use in each period, and their renewal.

use merit_engine::{Lease, QuotaView};
use merit_terms::{Name, Period, ProviderId, Quota, Refusal, Tariff, Time, Usage};

use super::{Twin, invalid};

/// A quota with its use in one period.
#[derive(Clone, Debug)]
pub(crate) struct QuotaState {
    pub(crate) quota: Quota,
    period: u32,
    used_requests: u64,
    used_energy_mb_ms: u64,
    /// Time of its renewal, if bids wait for it.
    pub(super) renewal: Option<Time>,
}

/// Reserve of an open lease.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    name: Name,
    energy_mb_ms: u64,
}

/// Returns the period of `at`; a quota that never renews has one for ever.
fn period_of(renews: Option<Period>, at: Time) -> u32 {
    renews.map_or(0, |period| at.period(period))
}

/// Returns the energy of a call that is billed for this long, in MB-ms.
pub(super) fn energy(tariff: &Tariff, memory_mb: u32, billed_ms: u64) -> u64 {
    u64::from(memory_mb.next_multiple_of(tariff.memory_step_mb)) * billed_ms
}

/// Returns the energy of a call that runs until its timeout.
pub(super) fn reserve(tariff: &Tariff, memory_mb: u32, timeout_ms: u32) -> u64 {
    let usage = Usage { wall_us: u64::from(timeout_ms) * 1000, ..Usage::default() };
    energy(tariff, memory_mb, tariff.billed_ms(&usage))
}

impl QuotaState {
    /// Returns requests and energy used in the period of `at`.
    pub(super) fn used(&self, at: Time) -> (u64, u64) {
        let current = period_of(self.quota.renews, at) == self.period;
        if current { (self.used_requests, self.used_energy_mb_ms) } else { (0, 0) }
    }

    pub(super) fn covers(&self, at: Time, energy_mb_ms: u64) -> bool {
        let (requests, energy) = self.used(at);
        let within = |limit: Option<u64>, used: u64| limit.is_none_or(|limit| used <= limit);
        within(self.quota.requests, requests + 1) && within(self.quota.energy_mb_ms, energy + energy_mb_ms)
    }

    fn set_used(&mut self, at: Time, (requests, energy): (u64, u64)) {
        self.period = period_of(self.quota.renews, at);
        (self.used_requests, self.used_energy_mb_ms) = (requests, energy);
    }
}

/// Refuses a name given twice, and more than 16 quotas with those there are.
pub(super) fn check(known: &[QuotaState], named: &[Quota]) -> Result<(), Refusal> {
    let is_new = |quota: &&Quota| !known.iter().any(|state| state.quota.name == quota.name);
    let twice = (0..named.len()).any(|i| named[..i].iter().any(|other| other.name == named[i].name));
    if twice || known.len() + named.iter().filter(is_new).count() > 16 { Err(invalid("quotas")) } else { Ok(()) }
}

impl Twin {
    pub(crate) fn quotas(&self, id: ProviderId, at: Time) -> Vec<QuotaView> {
        let view = |state: &QuotaState| {
            let (used_requests, used_energy_mb_ms) = state.used(at);
            QuotaView { quota: state.quota.clone(), used_requests, used_energy_mb_ms }
        };
        self.providers[id.index()].quotas.iter().map(view).collect()
    }

    /// Sets a quota. With another period it begins anew, and earlier draws no longer count.
    pub(super) fn put_quota(&mut self, id: ProviderId, quota: &Quota) {
        let anew =
            QuotaState { quota: quota.clone(), period: 0, used_requests: 0, used_energy_mb_ms: 0, renewal: None };
        let provider = &mut self.providers[id.index()];
        match provider.quota_mut(&quota.name) {
            None => provider.quotas.push(anew),
            Some(state) if state.quota.renews == quota.renews => state.quota = quota.clone(),
            Some(state) => {
                *state = anew;
                let leases = self.leases.iter_mut().filter(|open| open.lease.provider == id);
                leases.for_each(|open| open.draw = open.draw.take().filter(|draw| draw.name != quota.name));
            }
        }
    }

    /// Reserves one request and the energy for a match now, and waits for the renewal.
    pub(super) fn draw(&mut self, at: Time, id: ProviderId, name: &Name, energy_mb_ms: u64) -> Option<Draw> {
        let state = self.providers[id.index()].quota_mut(name)?;
        let (requests, energy) = state.used(at);
        state.set_used(at, (requests + 1, energy + energy_mb_ms));
        if let Some(period) = state.quota.renews
            && state.renewal.is_none()
        {
            state.renewal = Some(Time::start_of(period, at.period(period) + 1));
        }
        Some(Draw { name: name.clone(), energy_mb_ms })
    }

    /// Returns the unused part of an ended lease's reserve, within its period; all of it if the call did not run.
    pub(super) fn return_draw(&mut self, at: Time, lease: &Lease, draw: &Draw, billed_ms: Option<u64>) {
        let Some(state) = self.providers[lease.provider.index()].quota_mut(&draw.name) else { return };
        let renews = state.quota.renews;
        if period_of(renews, at) != period_of(renews, lease.matched_at) {
            return;
        }
        let (requests, energy_mb_ms) = state.used(at);
        let used = match billed_ms {
            Some(billed_ms) => {
                let actual = energy(&lease.tariff, lease.memory_mb, billed_ms).min(draw.energy_mb_ms);
                (requests, energy_mb_ms - (draw.energy_mb_ms - actual))
            }
            None => (requests - 1, energy_mb_ms - draw.energy_mb_ms),
        };
        state.set_used(at, used);
        let (id, name) = (lease.provider, draw.name.clone());
        self.trigger_offers(|offer| offer.provider == id && offer.rung.quota.as_ref() == Some(&name));
    }

    /// Renews a quota and wakes resting bids for it.
    pub(super) fn renew(&mut self, at: Time, id: ProviderId, index: usize) {
        let state = &mut self.providers[id.index()].quotas[index];
        state.renewal = None;
        state.set_used(at, state.used(at));
        let name = state.quota.name.clone();
        self.trigger_offers(|offer| offer.provider == id && offer.rung.quota.as_ref() == Some(&name));
    }
}
