//! Reserves of quotas: taken by a lease at its match, returned at its end, and renewed with each period.

use merit_terms::ProviderId;

use super::quotas::Reserve;
use crate::Engine;
use crate::turn::Turn;

impl Engine {
    /// Reserves the worst case of a lease, in the period of its match.
    pub(crate) fn reserve(
        &mut self,
        turn: &mut Turn<'_>,
        provider: ProviderId,
        quota: u32,
        energy_mb_ms: u64,
    ) -> Reserve {
        let allowance = &mut self.shelf.sellers[provider.index()].quotas[quota as usize];
        allowance.reserve((provider, quota), energy_mb_ms, &self.calendar, &mut turn.deadlines)
    }

    /// Returns the unused part of a reserve while its period lasts; all of it if the lease did not run.
    pub(crate) fn unreserve(&mut self, provider: ProviderId, reserve: Reserve, used_mb_ms: Option<u64>) {
        let allowance = &mut self.shelf.sellers[provider.index()].quotas[reserve.quota() as usize];
        if allowance.unreserve(reserve, used_mb_ms, &self.calendar) {
            self.wake_quota(provider, reserve.quota());
        }
    }

    /// Begins a period of a quota: all of it is there again.
    pub(crate) fn renew(&mut self, provider: ProviderId, quota: u32) {
        self.shelf.sellers[provider.index()].quotas[quota as usize].renew(&self.calendar);
        self.wake_quota(provider, quota);
    }

    fn wake_quota(&mut self, provider: ProviderId, quota: u32) {
        if self.shelf.is_watched() {
            self.shelf.wake_offers(provider, |offer| offer.quota == Some(quota));
            self.wake_bids();
        }
    }
}
