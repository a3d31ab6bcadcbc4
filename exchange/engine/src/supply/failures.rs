//! Failures and answers of providers: the ends of leases that change their health.

use merit_terms::Time;

use super::Shelf;
use super::health::{PauseOf, RevisionKey};
use super::warming::{Warming, enter};
use crate::Engine;
use crate::event::Lease;
use crate::turn::Turn;

impl Engine {
    /// Counts a failure of a lease by its provider's fault.
    pub(crate) fn provider_failed(&mut self, turn: &mut Turn<'_>, lease: &Lease) {
        let (kind, registry) = (self.kind_of(lease.provider), &self.registry);
        let freed = self.shelf.fail(turn, lease, kind, |function| registry.function(function).account);
        self.health_changed(turn, lease, freed);
    }

    /// Ranks a lease's provider behind for its revision while it loads the module.
    pub(crate) fn provider_warms(&mut self, turn: &mut Turn<'_>, lease: &Lease, retry_after_s: u32) {
        let lifted = self.shelf.begin_warming(turn.at, lease, retry_after_s);
        self.health_changed(turn, lease, lifted);
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
        let was_warming = self.shelf.end_warming(lease);
        let recovered = self.shelf.recover(turn, lease);
        if !was_warming && recovered.is_none() {
            return Vec::new();
        }
        let well = recovered.unwrap_or_default();
        self.health_changed(turn, lease, was_warming || !well.is_empty());
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

impl Shelf {
    /// Begins the warming of a lease's revision at its provider. Returns whether that of another one ended early.
    fn begin_warming(&mut self, at: Time, lease: &Lease, retry_after_s: u32) -> bool {
        let (id, key, now) = (lease.provider, (lease.function, lease.revision), Warming::new(at, retry_after_s));
        let mut lifted = false;
        for (of, known) in enter(self.sellers[id.index()].health.warming_mut(), key, now) {
            self.pauses.remove(known.pause_ends(), id, PauseOf::Warming(of));
            lifted |= of != key && known.until() > at;
        }
        self.pauses.add(now.pause_ends(), id, PauseOf::Warming(key));
        lifted
    }

    /// Ends the warming of a lease's revision at its provider. Returns whether it was warming there.
    fn end_warming(&mut self, lease: &Lease) -> bool {
        let (id, key) = (lease.provider, (lease.function, lease.revision));
        let known = self.sellers[id.index()].health.warming_mut().remove(&key);
        if let Some(known) = known {
            self.pauses.remove(known.pause_ends(), id, PauseOf::Warming(key));
        }
        known.is_some()
    }
}
