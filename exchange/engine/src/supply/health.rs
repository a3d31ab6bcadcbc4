//! Health: a provider that fails a revision several times in a row goes behind all others, and the whole provider once
//! several functions agree.
//!
//! Owns the failures and back-offs: a back-off grows with every failure, and one trial call ends it. What is behind is
//! still used where nothing else is left, by one call at a time and with pauses. A function's own errors never count.

use std::collections::{BTreeMap, BTreeSet};

use merit_terms::{AccountId, FunctionId, LeaseId, MarketId, ProviderId, Reason, Time};
use serde::{Deserialize, Serialize};

use super::Shelf;
use super::warming::Warming;
use crate::command::ProviderKind;
use crate::event::{Event, Lease};
use crate::turn::Turn;

/// Failures in a row, without an answer between them, that send a revision's calls elsewhere first.
const IN_A_ROW: u32 = 3;
/// Time after a failure in which what is behind is not used at all, in milliseconds.
const PAUSE_MS: u64 = 100;
/// First back-off, in milliseconds; each failure doubles it.
const FIRST_MS: u64 = 1_000;
/// Longest back-off, in milliseconds.
const LONGEST_MS: u64 = 300_000;
/// Maximum doublings: the longest back-off is long reached.
const DOUBLINGS_MAX: u32 = 16;
/// Functions that must have failed within [`AGREE_WITHIN_MS`] for the whole provider to back off.
const FUNCTIONS_AGREE: usize = 3;
/// Accounts that these functions must belong to.
const ACCOUNTS_AGREE: usize = 2;
/// Time within which the failures must lie, in milliseconds.
const AGREE_WITHIN_MS: u64 = 300_000;
/// Memory of failures and users, in milliseconds.
const REMEMBERED_MS: u64 = 3_600_000;

/// A revision of a function.
pub(crate) type RevisionKey = (FunctionId, u32);

/// Failures in a row, and the back-off that they make once they are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackOff {
    pub(crate) failures: u32,
    failed_at: Time,
    /// End of the back-off. None while the failures are too few for one.
    pub(crate) until: Option<Time>,
    /// The lease of the trial call.
    pub(crate) trial: Option<LeaseId>,
}

/// Permission for calls to a provider that is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    Refused,
    /// Nothing else is left.
    Allowed,
}

/// Health of one provider: back-offs, warming revisions, and recent users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProviderHealth {
    whole: Option<BackOff>,
    revisions: BTreeMap<RevisionKey, BackOff>,
    warming: BTreeMap<RevisionKey, Warming>,
    /// The latest two accounts with leases, and the time of the latest lease of each.
    users: [Option<(AccountId, Time)>; 2],
}

/// Owner of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PauseOf {
    /// A back-off; without a revision, that of the whole provider.
    BackOff(Option<RevisionKey>),
    Warming(RevisionKey),
}

/// The ends of the pauses of all that is behind, in order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses(BTreeSet<(Time, ProviderId, PauseOf)>);

/// Lower bound of a range.
const FIRST: PauseOf = PauseOf::BackOff(None);

impl Pauses {
    /// Returns the first end after `time`.
    pub(crate) fn after(&self, time: Time) -> Option<Time> {
        let from = (Time::from_micros(time.micros() + 1), ProviderId::new(0), FIRST);
        self.0.range(from..).next().map(|(end, ..)| *end)
    }

    /// Returns true if a provider is behind.
    pub(crate) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Lists the providers with a pause that ends at `time`.
    pub(crate) fn at(&self, time: Time) -> Vec<ProviderId> {
        let ends = self.0.range((time, ProviderId::new(0), FIRST)..).take_while(|(end, ..)| *end == time);
        let mut providers: Vec<ProviderId> = ends.map(|(_, provider, _)| *provider).collect();
        providers.dedup();
        providers
    }

    /// Enters all that is behind at a provider.
    pub(crate) fn enter(&mut self, provider: ProviderId, health: &ProviderHealth) {
        for (revision, back_off) in health.back_offs() {
            self.replace((provider, revision), None, Some(back_off));
        }
        for (revision, warming) in &health.warming {
            self.add(warming.pause_ends(), provider, PauseOf::Warming(*revision));
        }
    }

    fn replace(
        &mut self,
        (provider, revision): (ProviderId, Option<RevisionKey>),
        before: Option<BackOff>,
        after: Option<BackOff>,
    ) {
        if let Some(time) = before.and_then(|before| before.pause()) {
            self.remove(time, provider, PauseOf::BackOff(revision));
        }
        if let Some(time) = after.and_then(|after| after.pause()) {
            self.add(time, provider, PauseOf::BackOff(revision));
        }
    }

    pub(super) fn add(&mut self, end: Time, provider: ProviderId, of: PauseOf) {
        self.0.insert((end, provider, of));
    }

    pub(super) fn remove(&mut self, end: Time, provider: ProviderId, of: PauseOf) {
        self.0.remove(&(end, provider, of));
    }
}

impl BackOff {
    /// Counts a failure, unless it belongs to those that began the back-off. `enough` in a row make or extend one.
    /// Returns its end if this failure did.
    fn fail(entry: &mut Option<BackOff>, at: Time, lease: LeaseId, enough: u32) -> Option<Time> {
        let failures = match entry {
            Some(back_off) if back_off.until.is_some_and(|until| at < until) && back_off.trial != Some(lease) => {
                return None;
            }
            Some(back_off) => back_off.failures.saturating_add(1),
            None => 1,
        };
        let wait_ms = |further: u32| (FIRST_MS << further.min(DOUBLINGS_MAX)).min(LONGEST_MS);
        let until = failures.checked_sub(enough).map(|further| at.after_millis(wait_ms(further)));
        *entry = Some(BackOff { failures, failed_at: at, until, trial: None });
        until
    }

    /// Returns the end of the pause after the last failure, if it is a back-off.
    fn pause(&self) -> Option<Time> {
        self.until.map(|_| self.failed_at.after_millis(PAUSE_MS))
    }

    fn refuses(&self, at: Time, behind: Behind) -> Option<Reason> {
        let until = match behind {
            Behind::Refused => self.until?,
            Behind::Allowed => self.pause()?,
        };
        if at < until {
            return Some(Reason::BackingOff { until });
        }
        self.trial.map(|_| Reason::OnTrial)
    }
}

impl ProviderHealth {
    pub(crate) fn is_well(&self) -> bool {
        self.whole.is_none() && self.revisions.is_empty() && self.warming.is_empty()
    }

    /// Returns why the provider takes no call of a revision now: of several reasons the last to end; a trial, whose end
    /// is unknown, comes last.
    pub(crate) fn refuses(&self, revision: RevisionKey, at: Time, behind: Behind) -> Option<Reason> {
        let back_offs = self.concerning(revision).filter_map(|back_off| back_off.refuses(at, behind));
        let warming = self.warming.get(&revision).filter(|warming| match behind {
            Behind::Refused => at < warming.until(),
            Behind::Allowed => at < warming.pause_ends(),
        });
        let warming = warming.map(|warming| Reason::Warming { until: warming.until() });
        back_offs.chain(warming).max_by_key(Reason::behind_until)
    }

    pub(super) fn warming_mut(&mut self) -> &mut BTreeMap<RevisionKey, Warming> {
        &mut self.warming
    }

    /// Returns whether two accounts had leases within the last hour.
    pub(super) fn serves_several(&self, at: Time) -> bool {
        self.users[1].is_some_and(|(_, when)| when.after_millis(REMEMBERED_MS) >= at)
    }

    fn concerning(&self, revision: RevisionKey) -> impl Iterator<Item = &BackOff> {
        self.whole.iter().chain(self.revisions.get(&revision))
    }

    /// Returns whether the provider is behind for a revision, and its back-off is not over.
    pub(crate) fn is_behind(&self, revision: RevisionKey, at: Time) -> bool {
        self.concerning(revision).any(|back_off| back_off.until.is_some_and(|until| at < until))
    }

    /// Returns whether a back-off is over and waits for its trial call.
    pub(crate) fn awaits_trial(&self, revision: RevisionKey, at: Time) -> bool {
        self.concerning(revision).any(|back_off| {
            let is_over = back_off.until.is_some_and(|until| until <= at);
            is_over && back_off.trial.is_none()
        })
    }

    /// Notes a granted lease: it is the trial call of all back-offs that it meets.
    fn grant(&mut self, lease: &Lease) {
        self.use_by(lease.account, lease.matched_at);
        let revision = self.revisions.get_mut(&(lease.function, lease.revision));
        for back_off in self.whole.iter_mut().chain(revision).filter(|back_off| back_off.until.is_some()) {
            back_off.trial = Some(lease.id);
        }
    }

    fn use_by(&mut self, account: AccountId, at: Time) {
        match &mut self.users[0] {
            Some((latest, when)) if *latest == account => *when = at,
            _ => self.users = [Some((account, at)), self.users[0]],
        }
    }

    /// Ends the trials of a lease that says nothing about its provider. Returns whether it was a trial.
    fn inconclusive(&mut self, lease: &Lease) -> bool {
        let revision = self.revisions.get_mut(&(lease.function, lease.revision));
        let tried = self.whole.iter_mut().chain(revision).filter(|back_off| back_off.trial == Some(lease.id));
        tried.map(|back_off| back_off.trial = None).count() > 0
    }

    /// Lists the back-offs: that of the whole provider first, then by revision.
    pub(super) fn back_offs(&self) -> impl Iterator<Item = (Option<RevisionKey>, BackOff)> {
        let whole = self.whole.map(|back_off| (None, back_off));
        let revisions = self.revisions.iter().map(|(key, back_off)| (Some(*key), *back_off));
        whole.into_iter().chain(revisions).filter(|(_, back_off)| back_off.until.is_some())
    }

    /// Returns whether enough functions, of enough accounts, failed lately for the whole provider to back off.
    fn agree(&self, at: Time, kind: ProviderKind, account_of: impl Fn(FunctionId) -> AccountId) -> bool {
        let recent =
            |back_off: &BackOff| back_off.until.is_some() && back_off.failed_at.after_millis(AGREE_WITHIN_MS) >= at;
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
        let needed = if kind == ProviderKind::Own || !self.serves_several(at) { 1 } else { ACCOUNTS_AGREE };
        functions.len() >= FUNCTIONS_AGREE && accounts.len() >= needed
    }
}

impl Shelf {
    /// Notes a granted lease at its provider.
    pub(crate) fn grant(&mut self, lease: &Lease) {
        let seller = &mut self.sellers[lease.provider.index()];
        seller.health.grant(lease);
        seller.shared |= seller.health.serves_several(lease.matched_at);
    }

    /// Counts a failure of a lease by its provider's fault. Returns whether a back-off was forgotten or a trial ended.
    pub(super) fn fail(
        &mut self,
        turn: &mut Turn<'_>,
        lease: &Lease,
        kind: ProviderKind,
        account_of: impl Fn(FunctionId) -> AccountId,
    ) -> bool {
        let (id, at) = (lease.provider, turn.at);
        let (health, pauses) = (&mut self.sellers[id.index()].health, &mut self.pauses);
        let mut freed = false;
        health.revisions.retain(|key, back_off| {
            let remembered = back_off.failed_at.after_millis(REMEMBERED_MS) >= at;
            if !remembered {
                pauses.replace((id, Some(*key)), Some(*back_off), None);
                if back_off.until.is_some() {
                    turn.tell(ended(id, Some(*key)));
                    freed = true;
                }
            }
            remembered
        });
        let key = (lease.function, lease.revision);
        if health.whole.is_some_and(|whole| whole.failed_at.after_millis(REMEMBERED_MS) < at) {
            pauses.replace((id, None), health.whole.take(), None);
            turn.tell(ended(id, None));
            freed = true;
        }
        let before = health.revisions.remove(&key);
        let mut entry = before;
        let until = BackOff::fail(&mut entry, at, lease.id, IN_A_ROW);
        health.revisions.extend(entry.map(|back_off| (key, back_off)));
        pauses.replace((id, Some(key)), before, entry);
        if let Some(until) = until {
            turn.tell(Event::Health { provider: id, revision: Some(key), until });
        }
        let before = health.whole;
        let on_trial = before.is_some_and(|whole| whole.trial == Some(lease.id));
        let agreed = health.agree(at, kind, account_of);
        let is_out = on_trial || agreed && self.may_go_behind(id, lease.market);
        let (health, pauses) = (&mut self.sellers[id.index()].health, &mut self.pauses);
        if is_out && let Some(until) = BackOff::fail(&mut health.whole, at, lease.id, 1) {
            pauses.replace((id, None), before, health.whole);
            turn.tell(Event::Health { provider: id, revision: None, until });
        }
        freed |= health.inconclusive(lease);
        freed
    }

    /// Returns whether at most half of the memory of a market's sellers is behind with a provider, which counts also
    /// after its offers are gone.
    fn may_go_behind(&self, id: ProviderId, market: MarketId) -> bool {
        let (mut behind_mb, mut sum_mb) = (0, 0);
        for (other, seller) in (0..).map(ProviderId::new).zip(&self.sellers) {
            if other != id && seller.ladders.of(market).is_empty() {
                continue;
            }
            let memory_mb: u64 = seller.pools(self).map(|pool| pool.size().memory_mb).sum();
            sum_mb += memory_mb;
            behind_mb += if other == id || seller.health.whole.is_some() { memory_mb } else { 0 };
        }
        behind_mb * 2 <= sum_mb
    }

    /// Returns true if any provider is behind for any revision.
    pub(crate) fn is_any_behind(&self) -> bool {
        self.pauses.is_any()
    }

    /// Ends the trials of a lease that says nothing about its provider. Returns whether it was a trial.
    pub(super) fn end_trials(&mut self, lease: &Lease) -> bool {
        self.sellers[lease.provider.index()].health.inconclusive(lease)
    }

    /// Notes an answer: ends the back-off of its revision, and all of its provider if it was that trial. Returns those
    /// that ended, by revision, with `None` for the whole provider; nothing if no failure was counted.
    pub(super) fn recover(&mut self, turn: &mut Turn<'_>, lease: &Lease) -> Option<Vec<Option<RevisionKey>>> {
        let id = lease.provider;
        let (health, pauses) = (&mut self.sellers[id.index()].health, &mut self.pauses);
        if health.is_well() {
            return None;
        }
        let mut well = Vec::new();
        if health.whole.is_some_and(|whole| whole.trial == Some(lease.id)) {
            well.extend(health.back_offs());
            (health.whole, health.revisions) = (None, BTreeMap::new());
        } else {
            let key = (lease.function, lease.revision);
            let counted = health.revisions.remove(&key).filter(|back_off| back_off.until.is_some());
            well.extend(counted.map(|back_off| (Some(key), back_off)));
        }
        for (revision, back_off) in &well {
            pauses.replace((id, *revision), Some(*back_off), None);
            turn.tell(ended(id, *revision));
        }
        Some(well.into_iter().map(|(revision, _)| revision).collect())
    }

    /// Lists a provider's back-offs: that of the whole provider first, then by revision; none of an unknown provider.
    pub(crate) fn back_offs(&self, provider: ProviderId) -> impl Iterator<Item = (Option<RevisionKey>, BackOff)> {
        self.sellers.get(provider.index()).into_iter().flat_map(|seller| seller.health.back_offs())
    }
}

/// Tells the end of a back-off.
fn ended(provider: ProviderId, revision: Option<RevisionKey>) -> Event {
    Event::Health { provider, revision, until: Time::default() }
}
