//! The words of providers on the modules that they run: ready, getting ready, refused. Kept in memory only, for people
//! and for deployments that wait; no match depends on them.
//!
//! Owns what a session has said, until it ends. Never asks by itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use merit_proto::v1::{ModuleReadiness, ModuleState, WarmModule};
use merit_terms::ProviderId;
use tokio::sync::mpsc;

/// Modules of one provider that are remembered; at one more, the one that was told of first is forgotten.
const MODULES_MAX: usize = 1_024;
/// Orders under way to one provider; one that does not fit is dropped, and asked for again.
const ORDERS_MAX: usize = 64;
/// Longest reason in bytes.
const REASON_MAX_BYTES: usize = 1_024;

type Digest = [u8; 32];

/// A provider's word on a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModuleWord {
    Ready,
    /// It may be ready at this time.
    Warming(Instant),
    Refused(String),
}

/// The words of all providers that are on.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<HashMap<ProviderId, SessionWords>>);

struct SessionWords {
    session: u32,
    orders: mpsc::Sender<WarmModule>,
    words: HashMap<Digest, (u64, ModuleWord)>,
    told: u64,
}

impl ModuleWord {
    /// Reads a word. None of a provider that says nothing.
    pub(crate) fn read(state: ModuleState) -> Option<ModuleWord> {
        match state.readiness() {
            ModuleReadiness::Unspecified => None,
            ModuleReadiness::Ready => Some(ModuleWord::Ready),
            ModuleReadiness::Warming => {
                let wait = Duration::from_secs(state.retry_after_s.clamp(1, 600).into());
                Some(ModuleWord::Warming(Instant::now() + wait))
            }
            ModuleReadiness::Refused => {
                let mut reason = state.reason;
                reason.truncate(reason.floor_char_boundary(REASON_MAX_BYTES));
                Some(ModuleWord::Refused(reason))
            }
        }
    }
}

impl Readiness {
    /// Begins a session, which has said nothing yet. Returns the orders for it.
    pub(crate) fn begin(&self, provider: ProviderId, session: u32) -> mpsc::Receiver<WarmModule> {
        let (orders, ordered) = mpsc::channel(ORDERS_MAX);
        self.lock().insert(provider, SessionWords { session, orders, words: HashMap::new(), told: 0 });
        ordered
    }

    /// Ends a session, unless another of the provider has begun.
    pub(crate) fn end(&self, provider: ProviderId, session: u32) {
        let mut all = self.lock();
        if all.get(&provider).is_some_and(|words| words.session == session) {
            all.remove(&provider);
        }
    }

    /// Notes a word of a session.
    pub(crate) fn note(&self, provider: ProviderId, session: u32, module: Digest, word: ModuleWord) {
        let mut all = self.lock();
        let Some(of) = all.get_mut(&provider).filter(|of| of.session == session) else { return };
        of.told += 1;
        of.words.insert(module, (of.told, word));
        if of.words.len() > MODULES_MAX
            && let Some(first) = of.words.iter().min_by_key(|(_, (told, _))| *told).map(|(module, _)| *module)
        {
            of.words.remove(&first);
        }
    }

    /// Returns the last word of a provider on a module.
    pub(crate) fn of(&self, provider: ProviderId, module: &Digest) -> Option<ModuleWord> {
        self.lock().get(&provider)?.words.get(module).map(|(_, word)| word.clone())
    }

    /// Asks a provider that is on to make a module ready.
    pub(crate) fn order(&self, provider: ProviderId, order: WarmModule) {
        if let Some(of) = self.lock().get(&provider) {
            of.orders.try_send(order).unwrap_or_default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProviderId, SessionWords>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "../../tests/unit/modules/readiness.rs"]
mod tests;
