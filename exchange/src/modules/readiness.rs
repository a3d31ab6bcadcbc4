//! Readiness of modules at providers, as reported over their sessions: ready, warming, refused. For people and for
//! `merit deploy --wait`; no match depends on it.
//!
//! Kept in memory until the session ends. Never asks by itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use merit_proto::v1::{ModuleReadiness, ModuleState, WarmModule};
use merit_terms::{ProviderId, WARMING_MAX_S};
use tokio::sync::mpsc;

/// Modules of one provider that are remembered; at one more, the one that was noted first is forgotten.
const MODULES_MAX: usize = 1_024;
/// Queue length of requests to one provider; one that does not fit is dropped, and the next caller asks again.
const REQUESTS_MAX: usize = 64;
/// Time after a request in which a provider is not asked for the same module again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Time after a refusal in which a provider is not asked for the same module again.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// Time after the expected end of a warming after which a provider's silence makes the report void.
const WARMING_VOID_AFTER: Duration = Duration::from_secs(30);
/// Longest reason in bytes.
const REASON_MAX_BYTES: usize = 1_024;

type Digest = [u8; 32];

/// A provider's report on a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModuleReport {
    Ready,
    /// It may be ready at this time.
    Warming(Instant),
    Refused(String),
}

/// The reports of all providers in session.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<HashMap<ProviderId, SessionReports>>);

struct SessionReports {
    session: u32,
    requests: mpsc::Sender<WarmModule>,
    modules: HashMap<Digest, Known>,
    noted: u64,
}

/// A module at one provider.
struct Known {
    /// Order in which the modules were noted first.
    number: u64,
    report: Option<ModuleReport>,
    /// Time before which it is not asked for again.
    ask_from: Instant,
}

impl ModuleReport {
    /// Reads a report. Returns None for an unspecified one.
    pub(crate) fn read(state: &ModuleState) -> Option<ModuleReport> {
        match state.readiness() {
            ModuleReadiness::Unspecified => None,
            ModuleReadiness::Ready => Some(ModuleReport::Ready),
            ModuleReadiness::Warming => {
                let wait = Duration::from_secs(state.retry_after_s.clamp(1, WARMING_MAX_S).into());
                Some(ModuleReport::Warming(Instant::now() + wait))
            }
            ModuleReadiness::Refused => {
                // A copy: the message may have reserved much more.
                let reason = &state.reason[..state.reason.floor_char_boundary(REASON_MAX_BYTES)];
                Some(ModuleReport::Refused(reason.to_owned()))
            }
        }
    }

    /// Returns the time before which a provider that reported this is not asked again.
    fn ask_from(&self, now: Instant) -> Instant {
        match self {
            ModuleReport::Ready => now,
            ModuleReport::Warming(until) => *until,
            ModuleReport::Refused(_) => now + REFUSED_FOR,
        }
    }
}

impl SessionReports {
    /// Returns what is known of a module, and forgets the one that was noted first if there are too many.
    fn known(&mut self, module: Digest, now: Instant) -> &mut Known {
        if self.modules.len() >= MODULES_MAX
            && !self.modules.contains_key(&module)
            && let Some(first) = self.modules.iter().min_by_key(|(_, known)| known.number).map(|(module, _)| *module)
        {
            self.modules.remove(&first);
        }
        self.noted += 1;
        let number = self.noted;
        self.modules.entry(module).or_insert(Known { number, report: None, ask_from: now })
    }
}

impl Readiness {
    /// Begins a session, which has reported nothing yet. Returns the requests to it: none if a later one has begun.
    pub(crate) fn begin(&self, provider: ProviderId, session: u32) -> mpsc::Receiver<WarmModule> {
        let (requests, requested) = mpsc::channel(REQUESTS_MAX);
        let mut all = self.lock();
        if all.get(&provider).is_none_or(|known| known.session <= session) {
            all.insert(provider, SessionReports { session, requests, modules: HashMap::new(), noted: 0 });
        }
        requested
    }

    /// Ends a session, unless another of the provider has begun.
    pub(crate) fn end(&self, provider: ProviderId, session: u32) {
        let mut all = self.lock();
        if all.get(&provider).is_some_and(|reports| reports.session == session) {
            all.remove(&provider);
        }
    }

    /// Notes a report of a session.
    pub(crate) fn note(&self, provider: ProviderId, session: u32, module: Digest, report: ModuleReport) {
        let mut all = self.lock();
        if let Some(of) = all.get_mut(&provider).filter(|of| of.session == session) {
            let now = Instant::now();
            let known = of.known(module, now);
            known.ask_from = known.ask_from.max(report.ask_from(now));
            known.report = Some(report);
        }
    }

    /// Returns the last report of a provider on a module. None if it has not said, or not for long.
    pub(crate) fn of(&self, provider: ProviderId, module: &Digest) -> Option<ModuleReport> {
        let report = self.lock().get(&provider)?.modules.get(module)?.report.clone();
        report.filter(|report| match report {
            ModuleReport::Warming(until) => until.elapsed() < WARMING_VOID_AFTER,
            ModuleReport::Ready | ModuleReport::Refused(_) => true,
        })
    }

    /// Lists the providers in session that have reported on a module.
    pub(crate) fn reporting(&self, module: &Digest) -> Vec<ProviderId> {
        let all = self.lock();
        let reported = |of: &SessionReports| of.modules.get(module).is_some_and(|known| known.report.is_some());
        let mut found: Vec<ProviderId> = all.iter().filter(|(_, of)| reported(of)).map(|(id, _)| *id).collect();
        found.sort_unstable();
        found
    }

    /// Asks a provider in session to load a module, unless it was asked a moment ago, warms up or refused.
    pub(crate) fn request(&self, provider: ProviderId, module: Digest, request: WarmModule) {
        let (mut all, now) = (self.lock(), Instant::now());
        if let Some(of) = all.get_mut(&provider)
            && of.known(module, now).ask_from <= now
            && of.requests.try_send(request).is_ok()
        {
            of.known(module, now).ask_from = now + ASK_AGAIN_AFTER;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProviderId, SessionReports>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/modules/readiness.rs"]
mod tests;
