//! Failures and answers of providers: the ends of leases that change their health.

use crate::Engine;
use crate::event::Lease;
use crate::supply::health::RevisionKey;
use crate::turn::Turn;

impl Engine {
    /// Counts a failure of a lease by its provider's fault.
    pub(crate) fn provider_failed(&mut self, turn: &mut Turn<'_>, lease: &Lease) {
        let (kind, registry) = (self.kind_of(lease.provider), &self.registry);
        let freed = self.shelf.fail(turn, lease, kind, |function| registry.function(function).account);
        self.health_changed(turn, lease, freed);
    }

    /// Notes the end of a lease that says nothing about its provider.
    pub(crate) fn inconclusive(&mut self, lease: &Lease) {
        if self.shelf.end_trials(lease) {
            self.wake_provider(lease.provider);
        }
    }

    /// Notes an answer of a provider: its revision is well there, and the whole provider if this was its trial. Returns
    /// the revisions that are no longer behind there.
    pub(crate) fn provider_answered(&mut self, turn: &mut Turn<'_>, lease: &Lease) -> Vec<RevisionKey> {
        let Some(well) = self.shelf.recover(turn, lease) else { return Vec::new() };
        self.health_changed(turn, lease, !well.is_empty());
        well.into_iter().flatten().collect()
    }

    /// Sets the next look of resting bids anew; they may be served by the provider again if a back-off was lifted.
    fn health_changed(&mut self, turn: &mut Turn<'_>, lease: &Lease, lifted: bool) {
        if self.shelf.is_watched() {
            self.look_next(turn);
        }
        if lifted {
            self.wake_provider(lease.provider);
        }
    }
}
