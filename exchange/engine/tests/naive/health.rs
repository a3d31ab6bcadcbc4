//! Health: a failing provider is behind all others for a while, for one revision or for all, until one good call.

use merit_engine::{Event, Lease, ProviderKind};
use merit_terms::{AccountId, FunctionId, LeaseId, MarketId, ProviderId, Reason, Time};

use super::Twin;

const HOUR_MS: u64 = 3_600_000;
/// Time within which functions must agree that a provider fails, in milliseconds.
const AGREE_WITHIN_MS: u64 = 300_000;
const AGREEING_FUNCTIONS: usize = 3;
const AGREEING_ACCOUNTS: usize = 2;
const LONGEST_S: u64 = 300;
/// Failures without an answer between them that send a provider behind for a revision.
const TOO_MANY: u32 = 3;
/// Time after a failure in which a provider that is behind gets nothing, in milliseconds.
const PAUSE_MS: u64 = 100;
/// Longest time for which a revision gets ready, in seconds, and the time after which the provider is asked again.
const LONGEST_WARMING_S: u32 = 600;
const WARMING_PAUSE_MS: u64 = 1_000;

/// The failures of a provider with one revision; without a revision: with all. Too many are a back-off.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Back {
    pub(crate) provider: ProviderId,
    pub(crate) revision: Option<(FunctionId, u32)>,
    pub(crate) failures: u32,
    failed_at: Time,
    /// End of the back-off; the beginning of time if the failures are not too many.
    pub(crate) until: Time,
    pub(crate) trial: Option<LeaseId>,
}

impl Back {
    pub(crate) fn is_behind(&self) -> bool {
        self.until > Time::default()
    }

    /// Returns the end of the moment after its last failure in which it gets nothing.
    pub(super) fn pause_ends(&self) -> Time {
        self.failed_at.after_millis(PAUSE_MS)
    }
}

/// A revision that gets ready at a provider.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Warm {
    provider: ProviderId,
    revision: Option<(FunctionId, u32)>,
    told_at: Time,
    until: Time,
}

impl Warm {
    pub(super) fn provider(&self) -> ProviderId {
        self.provider
    }

    pub(super) fn pause_ends(&self) -> Time {
        self.told_at.after_millis(WARMING_PAUSE_MS)
    }
}

fn pair(lease: &Lease) -> Option<(FunctionId, u32)> {
    Some((lease.function, lease.revision))
}

impl Twin {
    fn back(&mut self, provider: ProviderId, revision: Option<(FunctionId, u32)>) -> Option<&mut Back> {
        self.backs.iter_mut().find(|back| back.provider == provider && back.revision == revision)
    }

    /// Lists the reasons to leave the provider out for this revision now. Where nobody else is left, a provider that is
    /// behind rests only for a moment after each failure.
    pub(super) fn unhealthy(
        &self,
        at: Time,
        provider: ProviderId,
        revision: (FunctionId, u32),
        nobody_else: bool,
    ) -> Vec<Reason> {
        let is_open = |id: LeaseId| self.leases.iter().any(|open| open.lease.id == id);
        let until = |back: &Back| if nobody_else { back.pause_ends() } else { back.until };
        let reason = |back: &Back| match back.trial {
            _ if at < until(back) => Some(Reason::BackingOff { until: until(back) }),
            Some(trial) if is_open(trial) => Some(Reason::OnTrial),
            _ => None,
        };
        let warms = self.warms.iter().filter(|warm| warm.provider == provider && warm.revision == Some(revision));
        let refused = warms.filter(|warm| at < if nobody_else { warm.pause_ends() } else { warm.until });
        let warming = refused.map(|warm| Reason::Warming { until: warm.until });
        self.concerning(provider, revision).filter_map(reason).chain(warming).collect()
    }

    /// Notes that the revision of a lease gets ready at its provider.
    pub(super) fn begin_warming(&mut self, at: Time, lease: &Lease, retry_after_s: u32) {
        let (provider, revision) = (lease.provider, pair(lease));
        self.warms.retain(|warm| warm.provider != provider || warm.revision != revision);
        let until = at.after_millis(1000 * u64::from(retry_after_s.clamp(1, LONGEST_WARMING_S)));
        self.warms.push(Warm { provider, revision, told_at: at, until });
    }

    /// Ends the warming of a lease's revision at its provider.
    pub(super) fn end_warming(&mut self, lease: &Lease) {
        let (provider, revision) = (lease.provider, pair(lease));
        let before = self.warms.len();
        self.warms.retain(|warm| warm.provider != provider || warm.revision != revision);
        if self.warms.len() < before {
            self.wake_provider(provider, "woken by a revision that is ready");
        }
    }

    /// Returns whether two accounts had leases within the hour.
    pub(super) fn serves_several(&self, at: Time, id: ProviderId) -> bool {
        let served = self.providers[id.index()].served.iter();
        served.filter(|(_, latest)| latest.after_millis(HOUR_MS) >= at).count() >= 2
    }

    /// Makes the match a trial if the provider's back-off is over.
    pub(super) fn begin_trial(&mut self, lease: &Lease) {
        for revision in [None, pair(lease)] {
            if let Some(back) = self.back(lease.provider, revision).filter(|back| back.is_behind()) {
                back.trial = Some(lease.id);
            }
        }
    }

    /// Ends a trial that said nothing about the provider.
    pub(super) fn end_trial(&mut self, id: LeaseId) {
        let mut tried = Vec::new();
        for back in self.backs.iter_mut().filter(|back| back.trial == Some(id)) {
            back.trial = None;
            tried.push(back.provider);
        }
        tried.into_iter().for_each(|provider| self.wake_provider(provider, "woken by the end of a trial"));
    }

    /// Counts a failure: the provider is left out for the revision, and for all once enough functions agree.
    pub(super) fn fault(&mut self, at: Time, lease: &Lease) {
        let forgotten = |back: &Back| back.provider == lease.provider && back.failed_at.after_millis(HOUR_MS) < at;
        self.remove_backs(forgotten);
        self.fail(at, lease, pair(lease), TOO_MANY);
        let own = self.back(lease.provider, None).cloned();
        let is_trial = own.as_ref().is_some_and(|back| back.trial == Some(lease.id));
        let is_out = own.is_some_and(|back| at < back.until);
        let judged = !is_out && self.enough_agree(at, lease.provider) && self.leaves_half(lease.provider, lease.market);
        if is_trial || judged {
            self.fail(at, lease, None, 1);
        }
    }

    /// Returns whether at least half of the memory in a market is not behind without the provider.
    fn leaves_half(&self, id: ProviderId, market: MarketId) -> bool {
        let sells =
            |provider: ProviderId| self.offers.iter().any(|offer| (offer.provider, offer.market) == (provider, market));
        let memory_mb = |provider: ProviderId| -> u64 {
            self.providers[provider.index()].pools.iter().map(|pool| pool.memory_mb).sum()
        };
        let is_out =
            |provider: ProviderId| self.backs.iter().any(|back| back.provider == provider && back.revision.is_none());
        let others =
            (0..self.providers.len() as u32).map(ProviderId::new).filter(|other| *other != id && sells(*other));
        let (out, left): (Vec<ProviderId>, Vec<ProviderId>) = others.partition(|other| is_out(*other));
        memory_mb(id) + out.into_iter().map(memory_mb).sum::<u64>() <= left.into_iter().map(memory_mb).sum()
    }

    /// Counts a failure; `too_many` in a row begin or extend a back-off. Calls that ran when it began count once.
    fn fail(&mut self, at: Time, lease: &Lease, revision: Option<(FunctionId, u32)>, too_many: u32) {
        let provider = lease.provider;
        let known = self.back(provider, revision).cloned();
        if known.as_ref().is_some_and(|back| at < back.until && back.trial != Some(lease.id)) {
            return;
        }
        let failures = known.map_or(0, |back| back.failures) + 1;
        let mut until = Time::default();
        if failures >= too_many {
            let seconds = LONGEST_S.min(1 << (failures - too_many).min(10));
            until = at.after_millis(seconds * 1000);
            self.events.push(Event::Health { provider, revision, until });
        }
        self.backs.retain(|back| back.provider != provider || back.revision != revision);
        self.backs.push(Back { provider, revision, failures, failed_at: at, until, trial: None });
    }

    /// Returns whether three functions of two accounts agree; of one account, if it owns the provider or alone used it
    /// lately.
    fn enough_agree(&self, at: Time, id: ProviderId) -> bool {
        let lately = |back: &&Back| {
            back.is_behind() && back.provider == id && back.failed_at.after_millis(AGREE_WITHIN_MS) >= at
        };
        let mut functions: Vec<FunctionId> =
            self.backs.iter().filter(lately).filter_map(|back| back.revision).map(|(function, _)| function).collect();
        functions.sort();
        functions.dedup();
        let mut accounts: Vec<AccountId> =
            functions.iter().map(|function| self.functions[function.index()].account).collect();
        accounts.sort();
        accounts.dedup();
        let provider = &self.providers[id.index()];
        let one_is_enough = provider.kind == ProviderKind::Own || !self.serves_several(at, id);
        functions.len() >= AGREEING_FUNCTIONS && (accounts.len() >= AGREEING_ACCOUNTS || one_is_enough)
    }

    /// Ends the back-off of an answered lease: for the revision, and for all if it was the trial. Returns the
    /// revisions that are no longer behind.
    pub(super) fn recover(&mut self, lease: &Lease) -> Vec<(FunctionId, u32)> {
        let is_trial = self.back(lease.provider, None).is_some_and(|back| back.trial == Some(lease.id));
        let ended = |back: &Back| back.provider == lease.provider && (is_trial || back.revision == pair(lease));
        let was_behind = self.backs.iter().filter(|back| ended(back) && back.is_behind());
        let was_behind = was_behind.filter_map(|back| back.revision).collect();
        self.remove_backs(ended);
        self.end_trial(lease.id);
        was_behind
    }

    /// Lists the back-offs that concern a revision at a provider.
    fn concerning(&self, provider: ProviderId, revision: (FunctionId, u32)) -> impl Iterator<Item = &Back> {
        let concerns = move |back: &&Back| {
            back.is_behind() && back.provider == provider && back.revision.is_none_or(|of| of == revision)
        };
        self.backs.iter().filter(concerns)
    }

    pub(super) fn is_out(&self, at: Time, provider: ProviderId, revision: (FunctionId, u32)) -> bool {
        self.concerning(provider, revision).any(|back| at < back.until)
    }

    /// Returns whether the next call would be a trial.
    pub(super) fn would_try(&self, at: Time, provider: ProviderId, revision: (FunctionId, u32)) -> bool {
        self.concerning(provider, revision).any(|back| back.until <= at && back.trial.is_none())
    }

    fn remove_backs(&mut self, gone: impl Fn(&Back) -> bool) {
        let (gone, left): (Vec<Back>, Vec<Back>) = self.backs.drain(..).partition(gone);
        self.backs = left;
        for Back { provider, revision, .. } in gone.into_iter().filter(Back::is_behind) {
            self.events.push(Event::Health { provider, revision, until: Time::default() });
            self.wake_provider(provider, "woken by a provider that is well");
        }
    }
}
