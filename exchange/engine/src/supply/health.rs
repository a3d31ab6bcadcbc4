//! Which providers fail: a revision's back-off at a provider first, the provider's once several functions agree.
//!
//! Owns the back-offs: each grows with every failure, and one trial call brings back what is well again. A function's own
//! errors never count.

use std::collections::{BTreeMap, BTreeSet};

use merit_terms::{AccountId, FunctionId, LeaseId, ProviderId, Reason, Time};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::command::ProviderKind;
use crate::event::{Event, Lease};
use crate::market::Registry;

/// The first back-off; each failure doubles it.
const FIRST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 300_000;
/// After so many doublings the longest back-off is long reached.
const DOUBLINGS_MAX: u32 = 16;
/// So many functions, of so many accounts, must have failed within [`AGREE_WITHIN_MS`] for the provider to be out for all.
const FUNCTIONS_AGREE: usize = 3;
const ACCOUNTS_AGREE: usize = 2;
const AGREE_WITHIN_MS: u64 = 300_000;
/// For so long failures and users are remembered.
const REMEMBERED_MS: u64 = 3_600_000;

/// Which revision.
pub(crate) type RevisionKey = (FunctionId, u32);

/// One back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackOff {
    pub(crate) failures: u32,
    pub(crate) failed_at: Time,
    pub(crate) until: Time,
    /// The lease that tries whether it is back.
    pub(crate) trial: Option<LeaseId>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProviderHealth {
    pub(crate) whole: Option<BackOff>,
    pub(crate) revisions: BTreeMap<RevisionKey, BackOff>,
    /// The latest two accounts that were granted leases, with the time of the latest lease of each.
    pub(crate) users: [Option<(AccountId, Time)>; 2],
}

/// When which back-off ends, in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recoveries(BTreeSet<(Time, ProviderId, Option<RevisionKey>)>);

impl Recoveries {
    /// The first end after `time`.
    pub(crate) fn after(&self, time: Time) -> Option<Time> {
        let from = (Time::from_micros(time.micros() + 1), ProviderId::new(0), None);
        self.0.range(from..).next().map(|(end, ..)| *end)
    }

    /// Whose back-offs end at `time`, of revisions or of all.
    pub(crate) fn at(&self, time: Time) -> Vec<ProviderId> {
        let ends = self.0.range((time, ProviderId::new(0), None)..).take_while(|(end, ..)| *end == time);
        let mut providers: Vec<ProviderId> = ends.map(|(_, provider, _)| *provider).collect();
        providers.dedup();
        providers
    }

    /// Enters all of a provider's.
    pub(crate) fn enter(&mut self, provider: ProviderId, health: &ProviderHealth) {
        self.0.extend(health.back_offs().map(|(revision, back_off)| (back_off.until, provider, revision)));
    }

    fn replace(
        &mut self,
        (provider, revision): (ProviderId, Option<RevisionKey>),
        before: Option<BackOff>,
        after: Option<BackOff>,
    ) {
        if let Some(before) = before {
            self.0.remove(&(before.until, provider, revision));
        }
        if let Some(after) = after {
            self.0.insert((after.until, provider, revision));
        }
    }
}

impl BackOff {
    /// Counts a failure, unless it is one of those that began the back-off; whether it counted.
    fn fail(entry: &mut Option<BackOff>, at: Time, lease: LeaseId) -> bool {
        let failures = match entry {
            Some(back_off) if at < back_off.until && back_off.trial != Some(lease) => return false,
            Some(back_off) => back_off.failures.saturating_add(1),
            None => 1,
        };
        let wait_ms = (FIRST_MS << (failures - 1).min(DOUBLINGS_MAX)).min(LONGEST_MS);
        *entry = Some(BackOff { failures, failed_at: at, until: at.after_millis(wait_ms), trial: None });
        true
    }

    fn refuses(&self, at: Time) -> Option<Reason> {
        if at < self.until {
            return Some(Reason::BackingOff { until: self.until });
        }
        self.trial.map(|_| Reason::OnTrial)
    }
}

impl ProviderHealth {
    pub(crate) fn is_well(&self) -> bool {
        self.whole.is_none() && self.revisions.is_empty()
    }

    /// Why the provider takes no call of a revision now, if so.
    pub(crate) fn refuses(&self, revision: RevisionKey, at: Time) -> Option<Reason> {
        let back_offs = self.whole.iter().chain(self.revisions.get(&revision));
        back_offs.filter_map(|back_off| back_off.refuses(at)).next()
    }

    /// A lease is granted: it tries whatever was backing off.
    pub(crate) fn grant(&mut self, lease: &Lease) {
        self.use_by(lease.account, lease.matched_at);
        let revision = self.revisions.get_mut(&(lease.function, lease.revision));
        for back_off in self.whole.iter_mut().chain(revision) {
            back_off.trial = Some(lease.id);
        }
    }

    fn use_by(&mut self, account: AccountId, at: Time) {
        match &mut self.users[0] {
            Some((latest, when)) if *latest == account => *when = at,
            _ => self.users = [Some((account, at)), self.users[0]],
        }
    }

    /// A lease ended in a way that says nothing: whatever it tried may be tried again. Whether it tried anything.
    fn inconclusive(&mut self, lease: &Lease) -> bool {
        let revision = self.revisions.get_mut(&(lease.function, lease.revision));
        let tried = self.whole.iter_mut().chain(revision).filter(|back_off| back_off.trial == Some(lease.id));
        tried.map(|back_off| back_off.trial = None).count() > 0
    }

    fn back_offs(&self) -> impl Iterator<Item = (Option<RevisionKey>, BackOff)> {
        let whole = self.whole.map(|back_off| (None, back_off));
        let revisions = self.revisions.iter().map(|(key, back_off)| (Some(*key), *back_off));
        whole.into_iter().chain(revisions)
    }

    fn agree(&self, at: Time, kind: ProviderKind, account_of: impl Fn(FunctionId) -> AccountId) -> bool {
        let recent = |back_off: &BackOff| back_off.failed_at.after_millis(AGREE_WITHIN_MS) >= at;
        let mut functions: Vec<FunctionId> = self
            .revisions
            .iter()
            .filter(|(_, back_off)| recent(back_off))
            .map(|((function, _), _)| *function)
            .collect();
        functions.dedup();
        let mut accounts: Vec<AccountId> = functions.iter().map(|function| account_of(*function)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let used_by_another = self.users[1].is_some_and(|(_, when)| when.after_millis(REMEMBERED_MS) >= at);
        let needed = if kind == ProviderKind::Own || !used_by_another { 1 } else { ACCOUNTS_AGREE };
        functions.len() >= FUNCTIONS_AGREE && accounts.len() >= needed
    }
}

fn back(provider: ProviderId, revision: Option<RevisionKey>) -> Event {
    Event::Health { provider, revision, until: Time::default() }
}

impl Engine {
    /// A lease failed by the provider's fault.
    pub(crate) fn provider_failed(&mut self, at: Time, lease: &Lease, events: &mut Vec<Event>) {
        let Registry { functions, providers, recoveries, .. } = &mut self.registry;
        let account_of = |function: FunctionId| functions[function.index()].account;
        let (id, provider) = (lease.provider, &mut providers[lease.provider.index()]);
        let (kind, health) = (provider.kind, &mut provider.health);
        let mut freed = false;
        health.revisions.retain(|key, back_off| {
            let remembered = back_off.failed_at.after_millis(REMEMBERED_MS) >= at;
            if !remembered {
                recoveries.replace((id, Some(*key)), Some(*back_off), None);
                events.push(back(id, Some(*key)));
                freed = true;
            }
            remembered
        });
        let key = (lease.function, lease.revision);
        if health.whole.is_some_and(|whole| whole.failed_at.after_millis(REMEMBERED_MS) < at) {
            recoveries.replace((id, None), health.whole.take(), None);
            events.push(back(id, None));
            freed = true;
        }
        let before = health.revisions.remove(&key);
        let mut entry = before;
        let counted = BackOff::fail(&mut entry, at, lease.id);
        health.revisions.extend(entry.map(|back_off| (key, back_off)));
        recoveries.replace((id, Some(key)), before, entry);
        if let Some(back_off) = entry.filter(|_| counted) {
            events.push(Event::Health { provider: id, revision: Some(key), until: back_off.until });
        }
        let before = health.whole;
        let on_trial = before.is_some_and(|whole| whole.trial == Some(lease.id));
        if (on_trial || health.agree(at, kind, account_of))
            && BackOff::fail(&mut health.whole, at, lease.id)
            && let Some(whole) = health.whole
        {
            recoveries.replace((id, None), before, health.whole);
            events.push(Event::Health { provider: id, revision: None, until: whole.until });
        }
        freed |= health.inconclusive(lease);
        self.look_again(id, freed);
    }

    /// A lease ended in a way that says nothing of its provider.
    pub(crate) fn inconclusive(&mut self, lease: &Lease) {
        if self.registry.providers[lease.provider.index()].health.inconclusive(lease) {
            self.wake_provider(lease.provider);
        }
    }

    /// A provider's back-offs changed; resting bids may be served by it if any was lifted.
    fn look_again(&mut self, provider: ProviderId, lifted: bool) {
        if self.shelf.watched {
            self.look_next();
        }
        if lifted {
            self.wake_provider(provider);
        }
    }

    /// A provider answered: the revision is well there, and the provider, if this was its trial.
    pub(crate) fn provider_answered(&mut self, lease: &Lease, events: &mut Vec<Event>) {
        let provider = lease.provider;
        let Registry { providers, recoveries, .. } = &mut self.registry;
        let health = &mut providers[provider.index()].health;
        if health.is_well() {
            return;
        }
        let mut well = Vec::new();
        if health.whole.is_some_and(|whole| whole.trial == Some(lease.id)) {
            let all = std::mem::take(health);
            health.users = all.users;
            well.extend(all.back_offs());
        } else {
            let key = (lease.function, lease.revision);
            well.extend(health.revisions.remove(&key).map(|back_off| (Some(key), back_off)));
        }
        for (revision, back_off) in &well {
            recoveries.replace((provider, *revision), Some(*back_off), None);
            events.push(back(provider, *revision));
        }
        self.look_again(provider, !well.is_empty());
    }

    /// Whether anything backs off at a provider, for views: revision, then what it is.
    pub(crate) fn back_offs(&self, provider: ProviderId) -> Vec<(Option<RevisionKey>, BackOff)> {
        let Some(provider) = self.registry.providers.get(provider.index()) else { return Vec::new() };
        provider.health.back_offs().collect()
    }
}
